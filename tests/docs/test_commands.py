"""Every command that the pages show is run here, or at least read by the real parser; code and grids likewise."""

import importlib.util
import re
import shutil
from pathlib import Path

import pytest

from features.datasets.description import Dataset, LabelNames, Source
from features.encoders.encoder import Encoder
from orchestrator.cli.main import _parser, main
from orchestrator.grids.load import grid_names, load_grid
from orchestrator.run.bound import Run
from tests.docs.pages import PAGES, ROOT, Block, blocks, mentioned, prose, typed, words_of
from tests.fixtures.encoders import write_encoder

PARSED_ONLY = {
    "--submit": "needs a cluster's head that takes Ray Jobs",
    "--address": "needs a Ray cluster",
    "--gpus-per-job": "needs GPUs",
    "--workers": "needs Ray; tests/trainers/test_parallel.py runs several workers",
    "--place": "needs GPUs of a type",
    "ui": "serves until it is stopped; tests/orchestrator/test_ui.py asks it",
    "search": "takes minutes; tests/orchestrator/test_search.py runs one",
    "runs runs": "needs a folder of runs; tests/orchestrator/views/test_stored.py has one",
    "serve": "serves until it is stopped; tests/orchestrator/serving asks it",
    "fetch": "downloads gigabytes; tests/features/fetch do so from a server of their own",
    "encoder aisfx": "downloads a package; tests/features/encoders/test_aisfx_wheel.py does so",
    "launch paper": "takes days and the challenge's audio",
    "launch paper-mini": "takes twenty minutes and data with a group column",
    "launch esc10": "takes minutes and data with a group column",
    "launch docs/esc10-encoder.yaml": "needs the file of an encoder; the grid is read below",
    "launch docs/study.yaml": "takes an hour and data with a group column",
    "--condition student": "needs a run of a grid with this condition",
    "mine.onnx": "takes long; tests/orchestrator/export does so with the same run",
    "check /data/FSDKaggle2019": "needs the challenge's audio",
    "/data/": "runs on a cluster's head",
}
"""What a command contains that can't be run in a test, and why."""

OTHER_PROGRAMS = {
    "ray": "needs a cluster; tests/whole/cluster runs these lines and checks their options",
    "source": "changes the shell that reads it",
    "install": "writes to the home folder; tests/whole/cluster runs it",
    "sed": "changes files of the project; tests/whole/cluster runs it",
    "apt-get": "installs packages",
    "curl": "asks a server that runs; tests/orchestrator/serving does so",
    "mlflow": "serves until it is stopped",
    "aws": "needs an account", "AMI": "needs an account", "SG": "needs an account", "TRUST": "sets a variable",
    "for": "needs an account", "done": "ends a loop", "gcloud": "needs an account",
    "sbatch": "needs Slurm; tests/whole/cluster runs the script", "squeue": "needs Slurm",
    "docker": "builds an image", "helm": "needs Kubernetes", "kubectl": "needs Kubernetes",
    "HEAD": "needs Kubernetes",
}  # fmt: skip
"""Programs other than ours, each with the reason why its lines are not run here."""

SONOGRID = [line for line in typed() if words_of(line)[0] == "sonogrid"]


def reason_not_to_run(line: str) -> str:
    """Why a command is parsed only; empty if it can be run."""
    return next(
        (reason for part, reason in PARSED_ONLY.items() if f" {part} " in f" {line} " or part == "/data/" in line), ""
    )


@pytest.mark.parametrize("line", [line for line in SONOGRID if not reason_not_to_run(line)])
def test_a_command_runs(
    line: str, copy: Run, small_data: Path, tiny_grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clip = next(iter(sorted((small_data / "test").glob("*.wav"))))
    (tmp_path / "relabel.csv").write_text("subset,fname,labels\n")
    stand_ins = {
        "RUN": copy.folder, "runs/mine": copy.folder, "runs/demo": copy.folder, "DATA": small_data, "GRID": tiny_grid,
        "mine.yaml": tiny_grid, "CSV": small_data / "test_labels.csv", "NAME": "A-all", "new.wav": clip,
        "recordings": small_data / "test", "labels.csv": tmp_path / "relabel.csv",
        "runs/demo/data/test/0c836b82.wav": clip, "conditions.A.epochs=30": "conditions.A.epochs=1",
    }  # fmt: skip
    words = [str(stand_ins.get(word, word)) for word in words_of(line)[1:]]
    if words[0] == "init":
        words[1] = str(shutil.copytree(small_data, tmp_path / "sounds"))  # it writes there
    if words[:2] == ["predict", "mine.tagger"]:
        assert main(["export", str(copy.folder), "--to", "mine.tagger"]) == 0
    if words[0] in ("launch", "resume"):
        words += ["--executor", "inline"]
    assert main(words) == 0


@pytest.mark.parametrize("line", [*SONOGRID, *mentioned()])
def test_a_command_is_understood(line: str) -> None:
    arguments = _parser().parse_args(words_of(line)[1:])
    if getattr(arguments, "grid", None) in grid_names():
        load_grid(arguments.grid, arguments.set, arguments.overlay)


def test_every_reason_not_to_run_is_needed() -> None:
    for part in PARSED_ONLY:
        lines = [*SONOGRID, *mentioned()]
        assert any(f" {part} " in f" {line} " or part in line for line in lines), f"no command has {part}"


@pytest.mark.parametrize("line", [line for line in typed() if words_of(line)[0] not in ("sonogrid", "make", "python")])
def test_a_line_of_another_program_has_a_reason(line: str) -> None:
    assert re.split(r"[ =]", line)[0] in OTHER_PROGRAMS


def test_every_target_of_make_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lines = [line for line in typed() if line.startswith("make ")]
    lines += [line for page in PAGES for line in re.findall(r"`(make [^`]+)`", prose(page))]
    targets = {word for line in lines for word in words_of(line)[1:] if "=" not in word}
    assert {"demo", "services"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"no target {target}"


def test_every_module_that_is_run_exists() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
    modules = {*re.findall(r"python -m ([\w.]+)", text)}
    assert "benchmarks.scale_bench" in modules
    for module in modules:
        assert importlib.util.find_spec(module), module


@pytest.mark.parametrize("block", [b for b in blocks() if b.language == "yaml"], ids=lambda block: block.page)
def test_a_grid_or_dataset_on_a_page_is_one(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for model in re.findall(r"model: (\S+\.\w+)", block.text):
        write_encoder(tmp_path / model)
    path = tmp_path / "mine.yaml"
    if block.page == "docs/data.md":
        path.write_text(block.text, encoding="utf-8")
        assert Dataset.read(path).curated
        return
    path.write_text(block.text, encoding="utf-8")
    assert load_grid(str(path)).conditions


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.yaml")), ids=lambda path: path.name)
def test_a_grid_beside_the_pages_is_a_grid(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for model in re.findall(r"model: (\S+\.\w+)", path.read_text(encoding="utf-8")):
        write_encoder(tmp_path / model)
    assert load_grid(str(path)).conditions


@pytest.mark.parametrize("block", [b for b in blocks() if b.language == "python"], ids=lambda block: block.page)
def test_python_on_a_page_runs(
    block: Block, copy: Run, small_data: Path, tiny_grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = block.text
    data = shutil.copytree(small_data, tmp_path / "sounds")  # `init` writes there
    for name, stand_in in {
        '"runs/mine"': copy.folder, '"DATA"': data, '"mine.yaml"': tiny_grid,
        '"new.wav"': next(iter(sorted((small_data / "test").glob("*.wav")))),
        '"labels.csv"': small_data / "test_labels.csv",
    }.items():  # fmt: skip
        text = text.replace(name, repr(str(stand_in)))
    exec(compile(text, block.page, "exec"), {})
    for written in tmp_path.glob("*.pt2"):
        encoder = Encoder(written)
        assert encoder.dims(encoder.window_samples or 32_000) > 0


def test_the_guide_has_every_verb_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["--help"])
    verbs = re.findall(r"^    (\w+) ", capsys.readouterr().out, re.MULTILINE)
    assert "launch" in verbs
    for verb in verbs:
        assert f"`{verb}" in guide, verb
        with pytest.raises(SystemExit):
            main([verb, "--help"])
        for option in {*re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)} - {"--help"}:
            assert option in guide, f"{verb} {option}"


@pytest.mark.parametrize("model", [Dataset, Source, LabelNames])
def test_the_page_of_datasets_explains_every_field(model: type[Dataset | Source | LabelNames]) -> None:
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    rows = [f"| `{name}` | {field.description} |" for name, field in model.model_fields.items()]
    assert "\n".join(rows) in page
