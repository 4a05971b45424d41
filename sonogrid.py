"""sonogrid: train and blend audio taggers on few clean and many noisy labels, as one resumable grid of jobs.

    import sonogrid

    print(sonogrid.check("data"))                                # what is in a dataset folder
    print(sonogrid.plan("demo", "data"))                         # what a launch would do and cost
    result = sonogrid.launch("demo", "data", "runs/first")       # run it; launching again resumes
    print(sonogrid.report("runs/first").blend)
    tagger = sonogrid.Tagger.load("runs/first")
    print(tagger.tag("dog.wav"))

Bad input raises an exception of this module whose message says what is wrong and what to do.
"""

from typing import TYPE_CHECKING

from features.errors import (
    DataError,
    FetchError,
    GridError,
    InputError,
    JobError,
    SonogridError,
    StoreError,
    TrackingError,
)
from orchestrator.api import (
    EncoderFile,
    PricedPlan,
    check,
    clean,
    encoder,
    export,
    fetch,
    init,
    launch,
    load_grid,
    logs,
    plan,
    register,
    report,
    resume,
    review,
    runs,
    score,
    search,
    serve,
    status,
    submission,
    sync,
    tune,
    ui,
)

if TYPE_CHECKING:
    from features.datasets.init import Initialised
    from features.fetch.fetch import Fetched
    from features.summary import DatasetSummary
    from orchestrator.clean import Cleaning
    from orchestrator.export.export import Exported
    from orchestrator.grids.recipe import Recipe
    from orchestrator.launch import LaunchResult
    from orchestrator.report.types import LabelScores, Report
    from orchestrator.review.write import Review
    from orchestrator.run.execution import Execution
    from orchestrator.run.selection import Selection
    from orchestrator.search import SearchResult
    from orchestrator.tagger.tagger import Tagger
    from orchestrator.tracking.models import Registered
    from orchestrator.tune import TunedAgain
    from orchestrator.views.status import Status
    from orchestrator.views.stored import Stored

    __version__: str

__all__ = [
    "Cleaning",
    "DataError",
    "DatasetSummary",
    "EncoderFile",
    "Execution",
    "Exported",
    "FetchError",
    "Fetched",
    "GridError",
    "Initialised",
    "InputError",
    "JobError",
    "LabelScores",
    "LaunchResult",
    "PricedPlan",
    "Recipe",
    "Registered",
    "Report",
    "Review",
    "SearchResult",
    "Selection",
    "SonogridError",
    "Status",
    "StoreError",
    "Stored",
    "Tagger",
    "TrackingError",
    "TunedAgain",
    "__version__",
    "check",
    "clean",
    "encoder",
    "export",
    "fetch",
    "init",
    "launch",
    "load_grid",
    "logs",
    "plan",
    "register",
    "report",
    "resume",
    "review",
    "runs",
    "score",
    "search",
    "serve",
    "status",
    "submission",
    "sync",
    "tune",
    "ui",
]

_DEFERRED = {
    "Cleaning": "orchestrator.clean",
    "DatasetSummary": "features.summary",
    "Initialised": "features.datasets.init",
    "Execution": "orchestrator.run.execution",
    "Exported": "orchestrator.export.export",
    "Fetched": "features.fetch.fetch",
    "LabelScores": "orchestrator.report.types",
    "LaunchResult": "orchestrator.launch",
    "Recipe": "orchestrator.grids.recipe",
    "Registered": "orchestrator.tracking.models",
    "Report": "orchestrator.report.types",
    "Review": "orchestrator.review.write",
    "SearchResult": "orchestrator.search",
    "Selection": "orchestrator.run.selection",
    "Status": "orchestrator.views.status",
    "Stored": "orchestrator.views.stored",
    "Tagger": "orchestrator.tagger.tagger",
    "TunedAgain": "orchestrator.tune",
}
"""Classes -> their modules, which are imported on first use: some of them need torch."""


def __getattr__(name: str) -> object:
    """Import a class, or look up the version, when it is first asked for."""
    if name == "__version__":
        from importlib.metadata import version

        return version("sonogrid")
    if name in _DEFERRED:
        from importlib import import_module

        value = getattr(import_module(_DEFERRED[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'sonogrid' has no attribute '{name}'")


def __dir__() -> list[str]:
    """All public names, also those that are not imported yet."""
    return sorted({*globals(), *__all__})
