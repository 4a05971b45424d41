"""RUNs and stores, as functions."""

from pathlib import Path

from orchestrator import api
from orchestrator.run.bound import Run


def test_a_store_is_listed_and_nothing_of_a_whole_run_is_removed(copy: Run) -> None:
    found = api.runs(str(copy.folder))
    assert [run.folder for run in found.runs] == [str(copy.folder)]
    cleaning = api.clean(copy.folder)
    assert not cleaning.dry
    assert cleaning.removed == ()
    assert api.report(copy.folder).blend is not None
    assert Path(cleaning.store) == copy.folder / "store"
