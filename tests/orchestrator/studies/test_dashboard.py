"""Optuna Dashboard's real server, over HTTP."""

import socket
from pathlib import Path

import pytest
import requests
from optuna.distributions import FloatDistribution

from orchestrator.studies.dashboard import serve_dashboard
from orchestrator.studies.record import About, continue_studies
from tests.fixtures.services import free_port


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    with continue_studies(tmp_path / "optuna.journal", None, "tiny") as studies:
        record = studies.open("all folds", About("# what it is", {"grid": "tiny"}, "lwlrap"))
        record.add({"share": 0.25}, {"share": FloatDistribution(0, 1)}, 0.5, {"baseline": "uniform"})
    return tmp_path / "optuna.journal"


def test_studies_are_served_with_their_notes_and_trials(journal: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with serve_dashboard(journal, None, free_port()) as address:
        assert "<title>Optuna Dashboard" in requests.get(address, timeout=30).text
        server = address.removesuffix("/dashboard")
        (study,) = requests.get(f"{server}/api/studies", timeout=30).json()["study_summaries"]
        assert study["study_name"] == "tiny all folds"
        found = requests.get(f"{server}/api/studies/{study['study_id']}?after=0", timeout=30).json()
    assert found["note"]["body"] == "# what it is"
    assert found["objective_names"] == ["lwlrap"]
    (trial,) = found["trials"]
    assert trial["values"] == [0.5]
    assert trial["user_attrs"] == [{"key": "baseline", "value": "uniform"}]
    assert capfd.readouterr() == ("", ""), "no line per request"
    with pytest.raises(requests.ConnectionError):
        requests.get(address, timeout=5)


def test_a_port_that_is_taken_is_passed_over(journal: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with serve_dashboard(journal, None, port) as address:
            assert f":{port}/" not in address
            assert requests.get(address, timeout=30).ok
