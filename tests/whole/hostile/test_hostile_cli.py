"""Hostile options, places, RUN folders and label CSVs; data that change between two launches."""

import copy
import json
import os
import shutil
import socket
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from rich.table import Table

from features.files import read_json
from orchestrator.cli.terminal import make_console
from orchestrator.grids.load import load_grid
from orchestrator.report.submission import write_scores
from orchestrator.run.bound import Run
from orchestrator.run.selection import Selection, plan_of, prepare

Tell = Callable[..., tuple[str, int]]
SMALL = """
name: small
data: {folds: 2}
features: {mel: {n_mels: 16, hop_samples: 1000}}
defaults: {network: {kind: resnet, depth: 10, width: 4, head_units: 8}, crop: 16, batch_size: 4, cycles: 1, epochs: 1}
conditions: {A: {}}
blend: {trials: 2}
"""
Keep = Callable[[str, Sequence[tuple[str, str, int]]], None]


@pytest.fixture
def run(inline_run: Run, tmp_path: Path) -> Path:
    """A copy of a finished run, to be broken."""
    shutil.copytree(inline_run.folder, tmp_path / "run")
    return tmp_path / "run"


def test_options_and_places(dataset: Path, tmp_path: Path, tell: Tell, keep: Keep, tiny_grid: Path) -> None:
    (tmp_path / "file").write_text("x")
    shutil.copy(tiny_grid, tmp_path / "tiny.yaml")
    (tmp_path / "other").mkdir()
    (tmp_path / "file.wav").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    grid = ("tiny.yaml", "--data", "data")
    before = sorted(tmp_path.rglob("*"))
    cases: list[tuple[str | Path, ...]] = [
        ("plan", *grid, "--folds", "x"), ("plan", *grid, "--folds", "99"), ("plan", *grid, "--folds", "9" * 30),
        ("plan", *grid, "--folds", ","), ("plan", *grid, "--only", ""), ("plan", *grid, "--only", ","),
        ("plan", *grid, "--only", "\x1b[31mA"), ("plan", *grid, "--overlay", "x"), ("plan", *grid, "--out="),
        ("tune", "run", "--trials", "0"), ("tune", "run", "--trials", "1e9"), ("tune", "run", "--budget", "-5"),
        ("ui", "run", "--port", "99999"), ("predict", "run", "x.wav", "--top", "-1"),
        ("plan", "demo", "--gpus", "1000000000"), ("plan", "demo", "--utilisation", "nan"),
        ("plan", "demo", "--gpu", "\x1b[31mx"), ("plan", "demo", "--skip-bad"),
        ("launch", *grid, "--out", "file"), ("launch", *grid, "--out", "file/run"), ("plan", *grid, "--out", "file"),
        ("launch", *grid, "--out", "run", "--store", "file"), ("launch", *grid, "--out", "data"),
        ("launch", *grid, "--out", "run", "--store", "data"),
        ("launch", *grid, "--out", "/dev/null/run"),
        ("launch", "tiny.yaml", "--data", "file", "--out", "run"), ("launch", *grid, "--out", "x" * 300),
        ("check", "file"), ("check", "x" * 300), ("demo", "--out", "file"), ("status", "file"), ("report", "nowhere"),
        ("resume", "nowhere"), ("submission", "x" * 300), ("score", "other", "--labels", "file"),
        ("predict", "other", "file.wav", "--csv", "file.wav"), ("predict", "other", "x.wav", "--csv", "pipe"),
        ("predict", "other", "x.wav", "--csv", "/dev/stdout"),
        ("launch", *grid, "--out", "data/test"), ("launch", *grid, "--out", "run", "--store", "data/train_curated/x"),
        ("launch", *grid, "--out", "run", "--only", "a"), ("launch", *grid, "--out", "run", "--folds", "-1"),
        ("plan", *grid, "--set", "data.folds=99"), ("tune", "run", "--trials=--5"),
        ("predict", "other", "x.wav", "--csv", "other"), ("predict", "other", "x.wav", "--csv", "file/x.csv"),
    ]  # fmt: skip
    rows = []
    for arguments in cases:
        words, code = tell(*arguments)
        assert code == 2, arguments
        shown = " ".join(arg if len(arg) < 40 else f"{arg[:10]}... ({len(arg)} letters)" for arg in map(str, arguments))
        rows.append((f"`{shown.encode('unicode_escape').decode()}`", words, code))
    # `plan` remembers which files it has checked in its default folder, runs/GRID.
    assert [path for path in sorted(tmp_path.rglob("*")) if "runs" not in path.parts] == before, "nothing half written"
    assert (tmp_path / "file.wav").read_text() == "x"
    assert (tmp_path / "pipe").is_fifo()
    keep("Options and places", rows)


def test_a_wrong_node_leaves_no_run_behind(dataset: Path, tmp_path: Path, tell: Tell, tiny_grid: Path) -> None:
    words, code = tell("launch", tiny_grid, "--data", "data", "--out", "run", "--executor", "inline", "--force", "x")
    assert (words, code) == ("--force x: the grid has no such node; 'sonogrid status RUN' lists them", 2)
    assert not (tmp_path / "run" / "run.json").exists()
    assert not (tmp_path / "run" / "owner.lock").exists()


@pytest.mark.parametrize("skip_bad", [False, True], ids=["no test CSV", "no test clip that can be read"])
def test_a_dataset_without_test_clips_has_a_report_and_no_submission(
    small_data: Path, tmp_path: Path, tell: Tell, skip_bad: bool
) -> None:
    shutil.copytree(small_data, tmp_path / "data")
    if skip_bad:
        for clip in (tmp_path / "data" / "test").iterdir():
            clip.write_text("text")
    else:
        (tmp_path / "data" / "sample_submission.csv").unlink()
    Path("small.yaml").write_text(SMALL)
    more = ["--skip-bad"] * skip_bad
    assert tell("launch", "small.yaml", "--data", "data", "--out", "run", "--executor", "inline", *more)[1] == 0
    assert read_json(tmp_path / "run" / "report.json")["blend"]["oof_lwlrap"] > 0
    assert not (tmp_path / "run" / "submission.csv").exists()
    for verb in (["submission", "run"], ["score", "run", "--labels", small_data / "test_labels.csv"]):
        words, code = tell(*verb)
        assert (words, code) == (
            "data has no test clips: add some and launch the grid again",
            2,
        )
    assert tell("predict", "run", next((tmp_path / "data" / "train_curated").iterdir()))[1] == 0


def test_a_working_folder_that_is_gone(tmp_path: Path, tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert tell("check", tmp_path) == ("the working folder no longer exists: change to another one", 2)


def test_ui_on_a_port_that_is_taken(run: Path, tell: Tell) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words, code = tell("ui", "run", "--port", str(port))
    assert (words, code) == (f"--port {port} can't be used (Address already in use): choose another one", 2)


def test_a_locale_with_another_encoding_of_names_is_refused(
    dataset: Path, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.getfilesystemencoding", lambda: "iso8859-1")
    words, code = tell("check", "data")
    assert code == 2
    assert words == "the locale's encoding of file names is iso8859-1: set PYTHONUTF8=1, or LC_ALL=C.UTF-8"


def test_ui_with_a_tracking_store_that_is_none(run: Path, tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "htp://nowhere")
    words, code = tell("ui", "run")
    assert code == 1
    assert words.startswith("MLflow at htp://nowhere can't be reached")


def changed(run: Path, **fields: Any) -> dict[str, Any]:
    """The content of run.json with other fields; None drops one."""
    raw = copy.deepcopy(read_json(run / "run.json"))
    return {key: value for key, value in {**raw, **fields}.items() if value is not None}


def test_run_folders_and_the_store(run: Path, tell: Tell, keep: Keep) -> None:
    whole = (run / "run.json").read_bytes()
    path_name, epochs, big = changed(run), changed(run), changed(run)
    path_name["recipe"]["conditions"]["../../x"] = path_name["recipe"]["conditions"]["A"]
    epochs["recipe"]["conditions"]["A"]["train"]["epochs"] = -1
    big["recipe"]["conditions"]["A"]["train"]["augment"]["gain"]["high"] = 10**40
    node = {"kind": "train", "signature": "../../etc", "payload": {}, "inputs": {}}
    contents: dict[str, Any] = {
        "cut off": b'{"schema": 1, "grid": "ti',
        "no bytes": b"",
        "bytes": bytes(range(255, 0, -1)),
        "nested too deeply": b"[" * 100_000,
        "a list": [],
        "an older schema": changed(run, schema=0),
        "a newer schema": changed(run, schema=99),
        "no grid": changed(run, grid=None),
        "no recipe": changed(run, recipe=None),
        "a store that is a number": changed(run, store=3),
        "a store with a zero byte": changed(run, store="a\0b"),
        "a store that is not there": changed(run, store="gone"),
        "a manifest outside the store": changed(run, manifest="../../etc"),
        "nodes that are a list": changed(run, nodes=[]),
        "a node with a signature like a path": changed(run, nodes={"x": node}),
        "a condition named like a path": path_name,
        "negative epochs": epochs,
        "a gain of 10^40": big,
    }
    in_the_recipe = ("a condition named like a path", "negative epochs", "a gain of 10^40")
    rows = []
    for case, content in contents.items():
        (run / "run.json").write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        words, code = tell("report", "run")
        assert code in (1, 2), case
        # Read-only commands need no Recipe.
        looked = tell("status", "run")
        assert looked[1] == 0 if case in in_the_recipe else looked == (words, code), case
        rows.append((f"run.json: {case}", words, code))
    (run / "run.json").write_bytes(whole)

    manifest = next((run / "store").glob("manifest-*/attempt-1"))
    for name, content in (
        ("clips.parquet", b"PAR1"), ("manifest.json", b"[]"),
        ("manifest.json", b'{"classes": ["x"], "skipped": [], "notes": []}'),
    ):  # fmt: skip
        path = manifest / name
        kept = path.read_bytes()
        path.write_bytes(content)
        words, code = tell("report", "run")
        assert code == 1
        rows.append((f"{name} of the store: {content.decode()}", words, code))
        path.write_bytes(kept)
        (manifest.parent / "damaged.json").unlink()
    for content in ("{", "[]", '{"truth": {"clips": 3}}', '{"truth": {"clips": ["a"], "labels": [3], "usage": null}}'):
        (run / "score.json").write_text(content)
        words, code = tell("report", "run")
        assert code == 1
        rows.append((f"score.json: {content}", words, code))
    (run / "score.json").unlink()
    words, code = tell("launch", "demo", "--data", changed(run)["data_root"], "--out", "run")
    rows.append(("a folder of another grid", words, code))
    words, code = tell("demo", "--out", "run")
    assert not (run / "data").exists(), "nothing half written"
    rows.append(("`demo` into a folder of another grid", words, code))
    keep("RUN folders and the store", rows)


def test_labels_for_score(run: Path, small_data: Path, tell: Tell, keep: Keep) -> None:
    good = (small_data / "test_labels.csv").read_text()
    header, *lines = good.splitlines()
    first = lines[0].split(",")[0]
    two = next(line for line in lines if '"' in line)
    blank = [f"{line}," for line in lines[1:]]
    contents: dict[str, str | bytes] = {
        "as it should be": good,
        "BOM and CRLF": b"\xef\xbb\xbf" + good.replace("\n", "\r\n").encode(),
        "columns separated by ;": good.replace(",", ";"),
        "Latin-1": good.encode() + b"\xe9.wav,Tone\n",
        "a zero byte": good + "\0",
        "no bytes": "",
        "another header": good.replace("labels", "tags", 1),
        "column 'labels' twice": good.replace("fname,labels", "fname,labels,labels"),
        "a test clip without a row": "\n".join([header, *lines[1:]]),
        "a test clip without a label": "\n".join([header, f"{first},", *lines[1:]]),
        "an unknown label": "\n".join([header, f"{first},\x1b[31mTune", *lines[1:]]),
        "a clip of another dataset": good + "other.wav,Tone\n",
        "a clip twice": good + lines[0] + "\n",
        "labels without quotes": "\n".join([header, *[x for x in lines if x != two], two.replace('"', "")]),
        "names of columns in capitals": good.replace(header, header.upper(), 1),
        "another usage, in capitals": "\n".join([f"{header},Usage", f"{lines[0]},x", *blank]),
        "another usage": "\n".join([f"{header},usage", f"{lines[0]},Secret", *blank]),
    }  # fmt: skip
    rows = []
    for case, content in contents.items():
        Path("labels.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
        words, code = tell("score", "run", "--labels", "labels.csv")
        accepted = case in ("as it should be", "BOM and CRLF", "names of columns in capitals")
        assert code == (0 if accepted else 2), (case, words)
        rows.append((case, "the scores" if accepted else words, code))
    for case, name in {"a folder": ".", "no such file": "gone.csv"}.items():
        words, code = tell("score", "run", "--labels", name)
        rows.append((case, words, code))
    keep("Labels for `score`", rows)


def test_predict_refuses_bad_files_and_writes_odd_names_as_they_are(run: Path, tell: Tell, tmp_path: Path) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 4_000)
    names = ["=cmd|calc!A0.wav", "-x.wav", "[red]x[.wav", "\x1b[31mx\n.wav", os.fsdecode(b"bad\xff.wav")]
    for name in names:
        soundfile.write("good.wav", samples, 16_000)
        shutil.copy("good.wav", os.fsencode(name))
    Path("text.wav").write_text("text")
    words, code = tell("predict", "run", "gone.wav", "text.wav", names[0], "--csv", "out.csv")
    assert code == 2
    assert words.startswith("gone.wav is missing")
    assert "text.wav is not readable audio" in words
    assert not Path("out.csv").exists(), "nothing half written"
    assert tell("predict", "run", "--csv", "out.csv", "--", *names)[1] == 0
    written = Path("out.csv").read_bytes()
    for name in names:
        assert os.fsencode(name) in written
    assert tell("predict", "run", "--json", "--", *names)[1] == 0


def test_names_are_text_in_tables_too() -> None:
    console = make_console()
    console.file = StringIO()
    table = Table(title="[bold]x\x1b[31m")
    table.add_column("\x07name")
    table.add_row("[/]\u202ecell")
    console.print(table)
    console.print("[/red] :smile: \x1b[31m", style="red")
    text = console.file.getvalue()
    assert all(
        words in text for words in ("[bold]x\\x1b[31m", "\\x07name", "[/]\\u202ecell", "[/red] :smile: \\x1b[31m")
    )
    assert "\x1b" not in text


def test_scores_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Shape"):
        write_scores(tmp_path / "out.csv", ["a"], ["x", "y"], np.zeros((1, 3)))
    assert list(tmp_path.iterdir()) == []


def remove_row(data: Path, name: str) -> None:
    path = data / name
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")


def swap(data: Path) -> None:
    """Another file of the same size and modification time in the place of a clip."""
    clip = sorted((data / "train_curated").iterdir())[0]
    times = clip.stat()
    other = data / "other"
    other.write_bytes(clip.read_bytes()[:-1] + b"\x55")
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(clip)


def edit_label(data: Path) -> None:
    path = data / "train_curated.csv"
    *lines, last = path.read_text().splitlines()
    name, label = last.split(",", 1)
    path.write_text("\n".join([*lines, f"{name},{'Tone' if label != 'Tone' else 'Siren'}"]) + "\n")


def add_clip(data: Path) -> None:
    soundfile.write(data / "train_curated" / "new.wav", np.full(4_000, 0.1), 16_000)
    with (data / "train_curated.csv").open("a") as file:
        file.write("new.wav,Tone\n")


@pytest.mark.parametrize(
    ("change", "subset", "trains", "shards"),
    [
        (lambda data: None, "", False, 0),
        (swap, "curated", True, 2),
        (edit_label, "curated", True, 0),
        (add_clip, "curated", True, 2),
        (lambda data: remove_row(data, "train_curated.csv"), "curated", True, 2),
        (lambda data: remove_row(data, "train_noisy.csv"), "noisy", False, 2),
        (lambda data: remove_row(data, "sample_submission.csv"), "test", False, 2),
    ],
    ids=["nothing", "a file swapped", "a label edited", "a clip added", "a clip removed", "a noisy one", "a test one"],
)
def test_data_that_change_between_launches_are_noticed(
    run: Path, small_data: Path, tiny_grid: Path, tmp_path: Path, change: Callable[[Path], None], subset: str,
    trains: bool, shards: int,
) -> None:  # fmt: skip
    data = tmp_path / "moved"
    shutil.copytree(small_data, data)
    recipe = load_grid(str(tiny_grid))
    plan_of(prepare(recipe, data, run), Selection())  # the files are remembered as checked
    change(data)
    plan = {planned.node.name: planned for planned in plan_of(prepare(recipe, data, run), Selection()).nodes}
    assert (plan["train-plain-0"].action == "changed") == trains
    # A condition that never sees the noisy clips does not depend on them.
    assert (plan["predict-plain-0"].action == "changed") == (subset in ("curated", "test"))
    assert plan["blend"].action == ("changed" if subset else "cached")
    if subset:
        predicts = plan["predict-noisy-A-0" if subset == "noisy" else "predict-plain-0"]
        assert predicts.action == "changed"
        assert f"{subset} clips" in predicts.reason
    built = [name for name, planned in plan.items() if name.startswith("shard") and planned.action != "cached"]
    assert len(built) == shards
    assert all(f"-{subset}-" in name for name in built)
