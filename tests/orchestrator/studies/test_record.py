"""Studies in a journal and in a database that is a file; PostgreSQL is in test_services.py."""

from pathlib import Path

import optuna
import pytest
from optuna import get_all_study_names, load_study
from optuna.distributions import FloatDistribution
from optuna_dashboard import get_note

from features.errors import StoreError
from orchestrator.studies.record import About, Tried, continue_studies, open_studies, stored_trials

SPACE = {"rounds": FloatDistribution(-1, 1)}
UNUSED = Path("unused")


def test_a_journal_is_continued(tmp_path: Path) -> None:
    journal = tmp_path / "made" / "study.journal"
    for value in (0.25, 0.5):
        with open_studies(journal, "inputs", None, "name") as studies:
            studies.open("all folds").add({"rounds": value}, SPACE, value * 2, {})
    with open_studies(journal, "inputs", None, "name") as studies:
        tried = [Tried({"rounds": 0.25}, 0.5, {}), Tried({"rounds": 0.5}, 1.0, {})]
        assert studies.open("all folds").tried == tried
        assert studies.open("without fold 0").tried == []
    with open_studies(journal, "other inputs", None, "name") as studies:
        assert studies.open("all folds").tried == []


def test_a_study_in_a_database_is_replaced(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    with open_studies(UNUSED, "inputs", url, "blend-1") as studies:
        studies.open("all folds").add({"rounds": 0.25}, SPACE, 0.5, {})
        studies.open("without fold 0").add({"rounds": 0.75}, SPACE, 0.6, {})
        assert studies.open("all folds").tried == []
    (name,) = [name for name in get_all_study_names(url) if name.endswith("without fold 0")]
    assert name == "blend-1 without fold 0"
    assert [trial.value for trial in load_study(study_name=name, storage=url).trials] == [0.6]


def test_a_study_says_what_it_is_when_it_is_new(tmp_path: Path) -> None:
    about = About("# what it is", {"grid": "tiny"}, "lwlrap")
    for note in (about, About("other", {"grid": "other"}, "other")):
        with open_studies(tmp_path / "journal", "inputs", None, "name") as studies:
            studies.open("all folds", note)
    with continue_studies(tmp_path / "journal", None, "inputs") as studies:
        study = load_study(study_name="inputs all folds", storage=studies.storage)
        assert get_note(study) == "# what it is"
        assert study.user_attrs == {"grid": "tiny"}
        assert study.metric_names == ["lwlrap"]


def test_processes_add_to_one_study_in_a_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    with continue_studies(UNUSED, url, "tiny") as one, continue_studies(UNUSED, url, "tiny") as two:
        first, second = one.open("all folds"), two.open("all folds")
        first.add({"rounds": 0.25}, SPACE, 0.5, {"sampler": "tpe"})
        assert second.refresh() == [Tried({"rounds": 0.25}, 0.5, {"sampler": "tpe"})]
        assert second.refresh() == []
        second.add({"rounds": 0.5}, SPACE, 0.25, {})
        assert [trial.value for trial in first.refresh()] == [0.5, 0.25]
    assert not UNUSED.exists()


def test_a_study_that_was_deleted_is_a_store_error(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    with continue_studies(UNUSED, url, "tiny") as studies:
        record = studies.open("all folds")
        optuna.delete_study(study_name=record.name, storage=url)
        with pytest.raises(StoreError, match="study 'tiny all folds' can't be recorded"):
            record.add({"rounds": 0.5}, SPACE, 0.25, {})


def test_a_finished_journal_is_only_read(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    assert stored_trials(journal) == {}
    assert not journal.exists()
    with open_studies(journal, "inputs", None, "name") as studies:
        studies.open("all folds").add({"rounds": 0.25}, SPACE, 0.5, {"baseline": "uniform"})
    before = journal.read_bytes()
    ((name, (trial,)),) = stored_trials(journal).items()
    assert (name, trial.params, trial.value) == ("inputs all folds", {"rounds": 0.25}, 0.5)
    assert journal.read_bytes() == before
    with continue_studies(tmp_path / "other.journal", None, "tiny") as studies:
        record = studies.open("all folds")
        assert record.is_new
        record.put(trial)
        assert record.refresh() == [Tried({"rounds": 0.25}, 0.5, {"baseline": "uniform"})]
        assert not studies.open("all folds").is_new


def test_pruned_trials_are_finished_but_have_no_value(tmp_path: Path) -> None:
    with continue_studies(tmp_path / "journal", None, "tiny") as studies:
        record = studies.open("search")
        pruned = optuna.create_trial(
            params={"rounds": 0.5}, distributions=SPACE, value=0.3, intermediate_values={0: 0.3},
            state=optuna.trial.TrialState.PRUNED,
        )  # fmt: skip
        record.put(pruned)
        record.add({"rounds": 0.25}, SPACE, 0.5, {})
        assert [trial.value for trial in record.refresh()] == [0.5]
        assert [trial.intermediate_values for trial in record.finished()] == [{0: 0.3}, {}]
