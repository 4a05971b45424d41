"""What earlier revisions left is read, or computed again where it is computed otherwise now; never half or in silence.

`tests/fixtures/make_old_store.py` makes the fixtures.
"""

import json
import re
import shutil
from pathlib import Path

import pytest

from features.files import read_json, sha256_file, write_json
from features.synthetic import generate
from orchestrator.cli.main import main
from tests.fixtures.make_old_store import CLIPS

OLD = sorted((Path(__file__).parents[1] / "fixtures" / "old_stores").iterdir())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The audio that the fixtures were made from."""
    root = tmp_path_factory.mktemp("old") / "data"
    generate(root, **CLIPS)
    return root


@pytest.fixture(params=OLD, ids=[folder.name for folder in OLD])
def run(request: pytest.FixtureRequest, data: Path, tmp_path: Path, own_mlflow: None) -> Path:
    """A copy of what a revision left."""
    shutil.copytree(request.param / "run", tmp_path / "run")
    write_json(tmp_path / "run" / "run.json", {**read_json(tmp_path / "run" / "run.json"), "data_root": str(data)})
    shutil.copy(request.param / "old.yaml", tmp_path / "old.yaml")
    return tmp_path / "run"


def said(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """What a verb prints; it must end well."""
    capsys.readouterr()
    code = main([str(word) for word in words])
    out, error = capsys.readouterr()
    assert code == 0, out + error
    assert "Traceback" not in out + error
    return out


def files_of(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256_file(path) for path in folder.rglob("*") if path.is_file()}


def test_status_report_score_and_predict_read_what_was_finished(
    run: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, told = files_of(run / "store"), read_json(run / "report.json")
    states = {job["state"] for job in json.loads(said(capsys, "status", run, "--json"))["jobs"]}
    assert states <= {"done", "cached"}
    report = json.loads(said(capsys, "report", run, "--json"))
    assert report["complete"]
    for condition, earlier in zip(report["conditions"], told["conditions"], strict=True):
        for key in ("name", "cv_lwlrap", "oof_lwlrap"):
            assert condition[key] == pytest.approx(earlier[key]) if key != "name" else condition[key] == earlier[key]
    assert report["blend"]["oof_lwlrap"] == pytest.approx(told["blend"]["oof_lwlrap"])
    clips = sorted((data / "test").glob("*.wav"))
    scores = json.loads(said(capsys, "predict", run, *clips, "--json"))
    assert [len(found) for found in scores.values()] == [len(next(iter(scores.values())))] * len(clips)
    assert re.search(
        r"lwlrap: 0\.\d+|lwlrap: 1\.0000", said(capsys, "score", run, "--labels", data / "test_labels.csv")
    )
    said(capsys, "submission", run)
    assert files_of(run / "store") == before, "reading changes nothing"


def test_plan_names_what_is_computed_otherwise_now_and_resume_computes_that_alone(
    run: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_of(run / "store")
    plan = json.loads(
        said(capsys, "plan", run.parent / "old.yaml", "--data", data, "--out", run, "--json")
    )["nodes"]  # fmt: skip
    actions = {node["name"]: node["action"] for node in plan}
    assert {action for name, action in actions.items() if name.startswith("shard")} == {"cached"}
    assert set(actions.values()) <= {"cached", "changed"}
    assert all(node["reason"] for node in plan)
    said(capsys, "resume", run, "--executor", "inline")
    assert json.loads(said(capsys, "report", run, "--json"))["complete"]
    after = files_of(run / "store")
    done = {name: digest for name, digest in before.items() if name.endswith("done.json")}
    assert done.items() <= after.items(), "what was finished stays"
    ran = {entry["name"] for entry in read_json(run / "timeline.json")}
    assert ran == {name for name, action in actions.items() if action != "cached"}
