"""What a run is doing, as functions."""

import pytest

from features.errors import InputError
from orchestrator import api
from orchestrator.run.bound import Run


def test_states_and_logs_of_a_finished_run(inline_run: Run) -> None:
    assert {job.state for job in api.status(inline_run.folder).jobs} <= {"done", "cached"}
    assert any("epoch" in line for line in api.logs(str(inline_run.folder), "train-plain-0"))
    with pytest.raises(InputError, match="has no job 'train-plain-9'"):
        api.logs(inline_run.folder, "train-plain-9")
