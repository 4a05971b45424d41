"""What verbs print, for people and as JSON."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from features.aisfx_wheel import LICENCE
from features.encoder import Encoder
from orchestrator.cli.main import main
from orchestrator.run.bound import Run


def said(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Standard output of a verb that works."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def test_init_proposes_a_grid_of_the_size_of_the_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = tmp_path / "data" / "dog" / "0.wav"
    for name in ("dog", "cat"):
        (tmp_path / "data" / name).mkdir(parents=True)
    soundfile.write(first, np.zeros(8, np.int16), 16_000)
    (tmp_path / "data" / "cat" / "0.wav").hardlink_to(first)
    assert f"sonogrid launch small --data {tmp_path / 'data'} --out runs/data\n" in said(
        capsys, "init", tmp_path / "data"
    )
    for number in range(1, 999):
        (first.parent / f"{number}.wav").hardlink_to(first)
    assert json.loads(said(capsys, "init", tmp_path / "data", "--json"))["clips"] == {"curated": 1000}
    assert "sonogrid launch default --data " in said(capsys, "init", tmp_path / "data")


def test_check(small_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "check", small_data)
    assert "curated: 16 clips, " in text
    assert text.endswith("no problems\n")
    found = json.loads(said(capsys, "check", small_data, "--json"))
    assert {name: subset["clips"] for name, subset in found["subsets"].items()} == {
        "curated": 16, "noisy": 12, "test": 6
    }  # fmt: skip


def test_plan(inline_run: Run, tiny_grid: Path, small_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("plan", tiny_grid, "--data", small_data, "--out", inline_run.folder)
    text = said(capsys, *arguments)
    assert "cached    train-plain-0: " in text
    assert "train: 8 cached" in text
    nodes = json.loads(said(capsys, *arguments, "--json"))["nodes"]
    assert {node["action"] for node in nodes} == {"cached"}


def test_status_and_logs(inline_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert "train-plain-0" in said(capsys, "status", inline_run.folder)
    jobs = json.loads(said(capsys, "status", inline_run.folder, "--json"))["jobs"]
    assert {job["state"] for job in jobs} <= {"done", "cached"}
    assert said(capsys, "logs", inline_run.folder, "train-plain-0")


def test_predict(inline_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = inline_run.data_root / inline_run.manifest.subset("test")["path"].iloc[0]
    text = said(capsys, "predict", inline_run.folder, clip, "--top", "2", "--csv", tmp_path / "scores.csv")
    assert text.startswith(f"{clip}: ")
    assert text.count("  ") == 1  # two tags
    scores = json.loads(said(capsys, "predict", inline_run.folder, clip, "--json"))[str(clip)]
    assert list(scores.values()) == sorted(scores.values(), reverse=True)
    header, row = (tmp_path / "scores.csv").read_text().splitlines()
    assert header.split(",") == ["fname", *inline_run.manifest.classes]
    assert row.startswith(f"{clip},")
    labels = tmp_path / "train_curated.csv"
    labels.write_text("fname,labels\n")
    assert main(["predict", str(inline_run.folder), str(clip), "--csv", str(labels)]) == 2
    assert "is there already; choose another name" in capsys.readouterr().err
    assert labels.read_text() == "fname,labels\n"


def test_submission_under_both_names(copy: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "submission", copy.folder) == f"wrote {copy.folder / 'submission.csv'}\n"
    assert main(["submit", str(copy.folder), "--ensemble", "A-all"]) == 0
    out, error = capsys.readouterr()
    assert out == f"wrote {copy.folder / 'submission-A-all.csv'}\n"
    assert "is now called 'submission'" in error
    assert error.count("\n") == 1


def test_score_and_report(copy: Run, small_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "score", copy.folder, "--labels", small_data / "test_labels.csv")
    assert text.startswith("lwlrap: ")
    assert text.index("conditions:\n") < text.index("ensembles:\n") < text.index("classes:\n")
    result = json.loads(said(capsys, "score", copy.folder, "--labels", small_data / "test_labels.csv", "--json"))
    report = json.loads(said(capsys, "report", copy.folder, "--json"))
    assert report["test"]["lwlrap"] == result["lwlrap"]
    assert "out-of-fold" in said(capsys, "report", copy.folder)


def test_tune(copy: Run, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "tune", copy.folder, "--trials", "3")
    assert " head pad " in text
    assert "predictions: " in text
    result = json.loads(said(capsys, "tune", copy.folder, "--trials", "3", "--json"))
    assert sum(result["weights"]) == pytest.approx(1)


def test_resume_and_sync(copy: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing to do" in said(capsys, "resume", copy.folder, "--executor", "inline")
    assert said(capsys, "sync", copy.folder) == "MLflow is up to date\n"


def test_a_demo_in_a_folder_of_another_grid_is_refused(copy: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", str(copy.folder)]) == 2
    assert "holds grid 'tiny', not 'demo'" in capsys.readouterr().err
    assert not (copy.folder / "data").exists()


@pytest.mark.long
def test_encoder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "aisfx.pt2"
    if main(["encoder", "aisfx", "--out", str(out)]) != 0:
        message = capsys.readouterr().err
        assert "pip can't download" in message
        pytest.skip(message)
    text = capsys.readouterr().out
    assert text.splitlines()[:-1] == LICENCE.splitlines()
    assert text.endswith(f"wrote {out}; name it in a grid as features.embedding.model\n")
    assert Encoder(out).dims(88_200) == 512
    assert main(["encoder", "aisfx", "--out", str(out)]) == 2
    assert "is there already" in capsys.readouterr().err
