"""`import sonogrid`: what is public, and that asking for it costs nothing."""

import subprocess
import sys

import pytest

import sonogrid

PUBLIC = [
    "Cleaning", "DataError", "DatasetSummary", "EncoderFile", "Execution", "Exported", "FetchError", "Fetched",
    "GridError", "Initialised", "InputError", "JobError", "LabelScores", "LaunchResult", "PricedPlan", "Recipe",
    "Registered", "Report", "Review", "SearchResult", "Selection", "SonogridError", "Status", "StoreError", "Stored",
    "Tagger", "TrackingError", "TunedAgain", "__version__", "check", "clean", "encoder", "export", "fetch", "init",
    "launch", "load_grid", "logs", "plan", "register", "report", "resume", "review", "runs", "score", "search", "serve",
    "status", "submission", "sync", "tune", "ui",
]  # fmt: skip


def test_the_public_names_are_these() -> None:
    assert sonogrid.__all__ == PUBLIC
    assert set(PUBLIC) <= set(dir(sonogrid))


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(sonogrid, name)
    if name == "__version__":
        assert value.count(".") == 2
    else:
        assert value.__doc__
        assert value.__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'tagger'"):
        sonogrid.tagger  # noqa: B018


def test_importing_loads_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "pandas", "pydantic", "ray", "mlflow", "optuna", "rich")
    code = f"import sys, sonogrid; print([name for name in {heavy!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
