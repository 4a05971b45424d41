"""sonogrid as functions, on a small grid."""

import io
from pathlib import Path

import pytest
from rich.console import Console

import sonogrid
from features.errors import DataError, GridError, InputError
from orchestrator import api
from orchestrator.run.bound import Run
from orchestrator.run.execution import Execution
from tests.fixtures.harm import INLINE


def test_check_returns_a_summary_or_raises_all_problems(small_data: Path, tmp_path: Path) -> None:
    summary = api.check(str(small_data))
    assert {name: one.clips for name, one in summary.subsets.items()} == {"curated": 16, "noisy": 12, "test": 6}
    with pytest.raises(InputError, match="is not a folder"):
        api.check(tmp_path / "nowhere")
    (tmp_path / "train_curated").mkdir()
    (tmp_path / "train_curated.csv").write_text("fname,labels\na.wav,A\nb.wav,B\n")
    with pytest.raises(DataError) as error:
        api.check(tmp_path)
    assert len(error.value.problems) == 2


def test_a_plan_without_a_run_writes_nothing(tiny_grid: Path, small_data: Path) -> None:
    before = sorted(small_data.rglob("*"))
    priced = api.plan(tiny_grid, small_data, gpu="T4", gpus=1)
    assert {planned.action for planned in priced.plan.nodes} == {"new"}
    assert not priced.assumed_data
    assert repr(priced).startswith("<PricedPlan of grid tiny: ")
    assert "on 1 T4 GPU>" in repr(priced)
    assert sorted(small_data.rglob("*")) == before


def test_a_plan_without_data_assumes_sizes() -> None:
    priced = api.plan("demo", folds=[0], only=["plain"])
    assert priced.assumed_data
    assert priced.as_dict()["cost"]["assumed_data"] is True
    with pytest.raises(InputError, match="--store needs --data"):
        api.plan("demo", store="somewhere")


def test_a_plan_of_a_finished_run_is_cached(inline_run: Run, tiny_grid: Path, small_data: Path) -> None:
    priced = api.plan(tiny_grid, small_data, inline_run.folder)
    assert priced.plan.pending == ()


def test_launching_a_finished_run_again_does_nothing(copy: Run, tiny_grid: Path, small_data: Path) -> None:
    shown = io.StringIO()
    console = Console(file=shown, width=160, markup=False, highlight=False)
    result = api.launch(tiny_grid, small_data, copy.folder, execution=INLINE, console=console)
    assert result.ok
    assert (result.done, result.failed, result.blocked, result.stopped) == (0, {}, (), False)
    assert result.report == api.report(copy.folder)
    assert "nothing to do" in shown.getvalue()
    assert "predict" in shown.getvalue()
    assert repr(result).startswith(f"<LaunchResult of {copy.folder}: 0 jobs done")


def test_a_failed_job_is_in_the_result_and_not_raised(
    tiny_grid: Path, small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["conditions.plain.lr_max=1e30", "conditions.plain.optimizer=sgd"]
    result = api.launch(
        tiny_grid, small_data, tmp_path / "run", only=["plain"], folds=[0], settings=settings, execution=INLINE
    )
    assert not result.ok
    assert list(result.failed) == ["train-plain-0"]
    assert "nan" in result.failed["train-plain-0"] or "inf" in result.failed["train-plain-0"]
    assert result.blocked
    assert capsys.readouterr().out == ""  # nothing is printed without a console
    assert {job.state for job in api.status(tmp_path / "run").jobs if job.name == "train-plain-0"} == {"failed"}
    assert any(api.logs(tmp_path / "run", "train-plain-0"))
    again = api.resume(tmp_path / "run", failed=True, execution=INLINE)
    assert list(again.failed) == ["train-plain-0"]


def test_bad_input_raises(tiny_grid: Path, small_data: Path, tmp_path: Path) -> None:
    recipe = sonogrid.load_grid(tiny_grid)
    with pytest.raises(GridError, match="--only Z"):
        api.launch(recipe, small_data, tmp_path / "run", only=["Z"], execution=INLINE)
    with pytest.raises(InputError, match="give them to load_grid"):
        api.launch(recipe, small_data, tmp_path / "run", settings=["defaults.epochs=1"], execution=INLINE)
    with pytest.raises(InputError, match="through Ray Client"):
        api.launch(recipe, small_data, tmp_path / "run", execution=Execution(address="ray://head:10001"))
    with pytest.raises(InputError, match="is the dataset"):
        api.launch(recipe, small_data, small_data, execution=INLINE)
    with pytest.raises(InputError, match="holds no run"):
        api.report(tmp_path)
    assert not (tmp_path / "run").exists()


def test_files_of_a_finished_run(copy: Run, small_data: Path) -> None:
    assert api.submission(copy.folder).name == "submission.csv"
    assert api.submission(copy.folder, ensemble="A-all").name == "submission-A-all.csv"
    page = (copy.folder / "report.html").read_text()
    scores = api.score(copy.folder, small_data / "test_labels.csv")
    assert (copy.folder / "report.html").read_text() != page, "it has the test scores now"
    assert 0 <= scores.lwlrap <= 1
    test = api.report(copy.folder).test
    assert test is not None
    assert test.lwlrap == scores.lwlrap
    assert api.tune(copy.folder, trials=2).blend.members
    api.sync(copy.folder)


def test_an_encoder_is_made_of_what_is_known_and_overwrites_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no encoder 'bird': choose aisfx, or bring your own"):
        api.encoder("bird", tmp_path / "a.onnx")
    (tmp_path / "a.onnx").touch()
    with pytest.raises(InputError, match=r"--out .*a\.onnx is there already"):
        api.encoder("aisfx", tmp_path / "a.onnx")
    with pytest.raises(InputError, match=r"absent\.whl can't be read"):
        api.encoder("aisfx", tmp_path / "b.onnx", wheel=tmp_path / "absent.whl")


def test_a_report_is_written_to_new_files_only(inline_run: Run, tmp_path: Path) -> None:
    found = api.report(inline_run.folder, html=tmp_path / "a.html", csv=str(tmp_path / "a.csv"))
    assert found == api.report(inline_run.folder)
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")
    with pytest.raises(InputError, match=r"--csv .*a\.csv is there already"):
        api.report(inline_run.folder, md=tmp_path / "a.md", csv=tmp_path / "a.csv")
    assert not (tmp_path / "a.md").exists()
