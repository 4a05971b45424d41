"""Fixtures for whole grids: small generated data, a small grid, and one inline run of it for tests that only read."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from features.files import read_json, sha256_file
from features.synthetic import generate
from orchestrator.cli.main import main
from orchestrator.export.export import Exported, export_tagger
from orchestrator.grids.load import load_grid
from orchestrator.launch import launch
from orchestrator.pages.overview import refresh_overviews
from orchestrator.run.bound import Run
from orchestrator.run.selection import Selection, prepare, read_asked
from tests.fixtures.harm import INLINE, QUIET, Compare
from trainers.history import is_measured, read_history

pytest_plugins = ["tests.fixtures.services"]


@pytest.fixture(autouse=True)
def _unregistered(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Launches register nothing, which would take a second each, unless a test uses the fixture `registers`."""
    if "registers" not in request.fixturenames:
        monkeypatch.setattr("orchestrator.launch._register", lambda *_: ())


@pytest.fixture
def registers() -> None:
    """Launches of the test register their blends in MLflow."""


GRID = """
name: tiny
data: {folds: 2}
features: {mel: {n_mels: 16, hop_samples: 1000}, waveform: {sample_rate_hz: 16_000}}
defaults:
  network: {kind: resnet, depth: 10, width: 4, head_units: 8}
  crop: 16
  batch_size: 4
  cycles: 1
  epochs: 2
  augment: {mixup: {}, gain: {}}
  predict: {pads: [2, 4]}
conditions:
  plain: {}
  A:
    multitask: true
    predict: {heads: [curated, noisy]}
    cycles: 2
    epochs: 1
    augment: {additional_crop: {}, frequency_mask: {low: 1, high: 4}}
  B: {base: A, cycles: 1, epochs: 2, init_from: plain, pseudo: {teacher: A}}
  D:
    network: {kind: envnet, width: 4, head_units: 8}
    optimizer: sgd
    crop: 20_600
    epochs: 1
    augment: {mixup: false, gain: false, scale: {}, bc_mix: {}, gain_db: {}}
    predict: {pads: [1_000]}
members: [A, B, D]
paper_weights: {A: 3, B: 4, D: 1}
blend: {trials: 5}
ensembles:
  A-all: {members: {A: {}}}
  A+D: {members: {A: {cycles: [2], pads: [4], heads: [curated, noisy]}, D: {}}, weights: {A: 3}}
published: {cv: {A: 0.849}, ensembles: {A+D: 0.89}}
comparisons: {waveforms: [A-all, A+D], nothing: [A, A]}
"""


@pytest.fixture(scope="session", autouse=True)
def _own_tracking_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep tests away from the tracking store of the person who runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}")
        patch.delenv("RAY_ADDRESS", raising=False)
        yield


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated audio in the challenge's layout. Do not modify it."""
    root = tmp_path_factory.mktemp("small") / "data"
    generate(root, seed=3, curated=16, noisy=12, test=6)
    return root


@pytest.fixture(scope="session")
def tiny_grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid file with every kind of node: warm start, multitask, soft pseudo labels, waveforms."""
    path = tmp_path_factory.mktemp("grid") / "tiny.yaml"
    path.write_text(GRID, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def inline_run(tmp_path_factory: pytest.TempPathFactory, small_data: Path, tiny_grid: Path) -> Run:
    """The tiny grid, run in this process. Do not modify it; see `copy`."""
    out = tmp_path_factory.mktemp("inline") / "run"
    run = prepare(load_grid(str(tiny_grid)), small_data, out)
    assert launch(run, INLINE, Selection(), QUIET).ok
    refresh_overviews(run)  # once, not by each test that mirrors a copy
    return Run.open(out)


@pytest.fixture(scope="session")
def onnx_export(inline_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The blend of that run in ONNX: ResNets with one head and two, at several pads, and EnvNet at another rate."""
    return export_tagger(inline_run.folder, tmp_path_factory.mktemp("export") / "tiny.onnx")


@pytest.fixture(scope="session")
def tracking_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """A function that makes an empty tracking store at a path and returns its URI: MLflow needs a second for one."""
    from mlflow import MlflowClient

    template = tmp_path_factory.mktemp("template") / "mlflow.db"
    MlflowClient(f"sqlite:///{template}").search_experiments()

    def make(path: Path) -> str:
        shutil.copyfile(template, path)
        return f"sqlite:///{path}"

    return make


@pytest.fixture
def own_mlflow(tmp_path: Path, tracking_store: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of a tracking store for one test, which the environment names."""
    uri = tracking_store(tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


@pytest.fixture
def copy(inline_run: Run, tmp_path: Path) -> Run:
    """A copy of the finished run, to modify."""
    shutil.copytree(inline_run.folder, tmp_path / "run")
    return Run.open(tmp_path / "run")


Told = tuple[str, int]


@pytest.fixture(scope="session")
def same_numbers() -> Compare:
    """A function that compares two runs of a grid, file by file."""

    def compare(first: Run, second: Run) -> None:
        """Equal histories (but for times), snapshots, soft labels, predictions and weights, to the bit.

        The second run may have been asked for a part of the grid.
        """
        assert first.graph.nodes.keys() == second.graph.nodes.keys()
        for node in read_asked(second.folder).apply(second).nodes.values():
            a, b = first.store.results(node), second.store.results(node)
            for name in read_json(a / "done.json")["files"]:
                if name == "history.jsonl":
                    for one, two in zip(read_history(a), read_history(b), strict=True):
                        assert {k: v for k, v in one.items() if not is_measured(k)} == {
                            k: v for k, v in two.items() if not is_measured(k)
                        }
                elif name != "study.journal":  # holds the time of each trial
                    assert sha256_file(a / name) == sha256_file(b / name), f"{node.name}: {name}"

    return compare


@pytest.fixture
def tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """A function that runs a verb in `tmp_path` and returns its message, on one line without paths, and its exit code.

    It checks what must be true of every input: a known exit code, no traceback, no control characters.
    """
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> Told:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, error = capsys.readouterr()
        assert "Traceback" not in out + error
        assert all(line.isprintable() for line in (out + error).split("\n"))
        assert code in (0, 1, 2)
        lines = error.splitlines() if code else [line for line in out.splitlines() if line.startswith("note: ")]
        text = " / ".join(lines) or (out.splitlines() or [""])[-1]
        text = text.replace(f"{tmp_path.resolve()}/", "").replace(f"{tmp_path}/", "")
        text = re.sub(r"-[0-9a-f]{12}\b", "-<signature>", text)
        return text.replace("/ sonogrid: ", "/ ").removeprefix("sonogrid: "), code

    return run
