from pathlib import Path

import pytest

from features.errors import GridError, InputError
from features.relabel import Relabel
from orchestrator.grids.load import load_grid
from orchestrator.run.bound import Run
from orchestrator.run.selection import Selection, plan_of, prepare
from orchestrator.store.marks import Failure
from tests.fixtures.harm import fail


@pytest.fixture
def run(small_data: Path, tiny_grid: Path, tmp_path: Path) -> Run:
    return prepare(load_grid(str(tiny_grid)), small_data, tmp_path / "run")


def names(run: Run, selection: Selection) -> set[str]:
    return {node.name for node in selection.apply(run).nodes.values() if node.kind != "shard"}


def test_a_selection_brings_what_it_needs(run: Run) -> None:
    assert names(run, Selection(("plain",), (0,))) == {"train-plain-0", "predict-plain-0"}
    chosen = names(run, Selection(("B",), (1,)))
    assert {"train-plain-1", "train-A-1", "predict-noisy-A-1", "train-B-1", "predict-B-1"} <= chosen
    assert not any(name.endswith("-0") for name in chosen)
    assert Selection().apply(run) is run.graph


def test_unknown_conditions_folds_and_folders_are_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(GridError, match=r"--only Z: .* plain, A, B, D"):
        Selection(("Z",)).apply(run)
    with pytest.raises(GridError, match="--folds 2: the grid has folds 0 to 1"):
        Selection(folds=(2,)).apply(run)
    with pytest.raises(InputError, match="is not a folder"):
        prepare(run.recipe, tmp_path / "nowhere", tmp_path)


def test_a_plan_compares_with_the_last_launch(run: Run) -> None:
    assert {planned.action for planned in plan_of(run, Selection()).nodes} == {"new"}
    run.save()
    node = run.graph.nodes[run.graph.train["plain", 0]]
    fail(run, node, Failure(cause="it broke"))
    found = {planned.node.name: planned for planned in plan_of(run, Selection(failed=True)).pending}
    assert found["train-plain-0"].action == "retry"
    assert "it broke" in found["train-plain-0"].reason
    assert "train-plain-1" not in found


def test_other_labels_compute_again_what_depends_on_them(
    inline_run: Run, tiny_grid: Path, small_data: Path, tmp_path: Path
) -> None:
    noisy = inline_run.manifest.subset("noisy").iloc[0]
    other = next(name for name in inline_run.manifest.classes if name not in noisy["labels"])
    csv = tmp_path / "new.csv"
    csv.write_text(f"subset,fname,labels\nnoisy,{noisy['clip']},{other}\n")
    relabel = Relabel.read(csv)
    run = prepare(load_grid(str(tiny_grid)), small_data, inline_run.folder, inline_run.store.url, relabel=relabel)
    pending = {planned.node.name for planned in plan_of(run, Selection()).pending}
    assert {"train-A-0", "train-A-1", "train-B-0", "blend"} <= pending
    assert not {name for name in pending if name.startswith(("shard", "train-plain", "train-D"))}
    asked = Selection(relabel=relabel).asked()
    assert Relabel.from_json(asked["relabel"]) == relabel
