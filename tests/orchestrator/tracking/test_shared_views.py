"""Views that MLflow keeps with an experiment."""

import json
from pathlib import Path

from orchestrator.tracking.connection import Place, connect, experiment_id
from orchestrator.tracking.shared_views import CURVES, TABLE, save_views, view_url


def test_views_are_tags_of_the_experiment(own_mlflow: str, tmp_path: Path) -> None:
    place = Place.of(tmp_path)
    client = connect(place)
    experiment = experiment_id(client, "tiny", place)
    for _ in range(2):
        save_views(client, experiment)
    tags = client.get_experiment(experiment).tags
    table, curves = (json.loads(tags[f"mlflow.sharedViewState.{view}"]) for view in (TABLE, CURVES))
    assert (table["orderByKey"], table["orderByAsc"]) == ("metrics.`oof_lwlrap`", False)
    assert "attributes.`Dataset`" in table["selectedColumns"]
    assert curves["groupBy"]["groupByKeys"] == [{"mode": "tag", "groupByData": "sonogrid.condition"}]


def test_an_address_names_a_view() -> None:
    """Nothing else of the state may be in it: MLflow would leave the view out."""
    assert view_url("http://127.0.0.1:5000/", "3", TABLE) == (
        "http://127.0.0.1:5000/#/experiments/3/runs?workflowType=machine_learning&viewStateShareKey=sonogrid-table"
    )
    assert "compareRunsMode=CHART" in view_url("http://127.0.0.1:5000", "3", CURVES)
