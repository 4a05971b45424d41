"""Two views of a grid that MLflow keeps with its experiment: a table of runs, and curves of conditions.

They have the form of those that MLflow's button *Share* makes: a tag of the experiment with the state of the page as
JSON, and an address with the tag's name.
"""

import json
from typing import Any

__all__ = ["CURVES", "TABLE", "save_views", "view_url"]

TABLE, CURVES = "sonogrid-table", "sonogrid-curves"
TAG = "mlflow.sharedViewState."
SEARCH = {
    "searchFilter": "",
    "orderByKey": "metrics.`oof_lwlrap`",
    "orderByAsc": False,
    "startTime": "ALL",
    "lifecycleFilter": "Active",
    "datasetsFilter": [],
    "modelVersionFilter": "All Runs",
}
"""All runs, the best clean scores first."""
COLUMNS = [
    "attributes.`Dataset`",
    "metrics.`oof_lwlrap`",
    "metrics.`oof_lwlrap_nested`",
    "metrics.`test_lwlrap`",
    "metrics.`gain_over_linear`",
    "metrics.`best_lwlrap`",
    "metrics.`best_epoch`",
    "metrics.`system/wall_seconds`",
    "tags.`sonogrid.host`",
]
BY_CONDITION = {
    "aggregateFunction": "average",
    "groupByKeys": [{"mode": "tag", "groupByData": "sonogrid.condition"}],
}
"""The mean over folds."""
COURSES = "^(lwlrap|valid_loss|loss_.*|lr)$"
"""Metrics with a point for each epoch."""


def save_views(client: Any, experiment: str) -> None:
    """Save both views with an experiment; a person may change what they see, but not these."""
    table: dict[str, Any] = {**SEARCH, "selectedColumns": COLUMNS}
    curves = {**table, "groupBy": BY_CONDITION, "runsHiddenMode": "SHOW_ALL", "chartsSearchFilter": COURSES}
    for name, state in {TABLE: table, CURVES: curves}.items():
        client.set_experiment_tag(experiment, f"{TAG}{name}", json.dumps(state))


def view_url(server: str, experiment: str, view: str) -> str:
    """The address of a view.

    MLflow's first page, and an experiment's without `workflowType`, are those for language models.

    Args:
        server: address of an MLflow server.
        experiment: id of the experiment.
        view: `TABLE` or `CURVES`.
    """
    charts = "&compareRunsMode=CHART" if view == CURVES else ""
    return (
        f"{server.rstrip('/')}/#/experiments/{experiment}/runs"
        f"?workflowType=machine_learning{charts}&viewStateShareKey={view}"
    )
