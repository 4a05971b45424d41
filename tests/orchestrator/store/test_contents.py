"""What lies in a store that is a folder."""

from pathlib import Path

from orchestrator.run.bound import Run
from orchestrator.store.contents import contents, remove
from orchestrator.store.marks import DoneMark, Failure


def test_every_node_of_a_run_is_there_with_its_run(inline_run: Run) -> None:
    found = {one.name: one for one in contents(inline_run.store.root)}
    names = {inline_run.store.name(node) for node in inline_run.graph.nodes.values()}
    assert names <= found.keys()
    assert {found[name].state for name in names} == {"done"}
    assert {run for name in names for run in found[name].runs} == {inline_run.identity}
    assert {one.kind for one in found.values()} == {"shard", "train", "predict", "pseudo", "blend", "other"}
    assert found[inline_run.manifest_name].kind == "other"
    blend = inline_run.store.results(inline_run.graph.nodes[str(inline_run.graph.blend)])
    assert found[inline_run.store.name(inline_run.graph.nodes[str(inline_run.graph.blend)])].n_bytes >= sum(
        path.stat().st_size for path in blend.iterdir()
    )


def test_states_and_what_is_no_node(copy: Run) -> None:
    store = copy.store
    train = store.name(copy.graph.nodes[copy.graph.train["A", 0]])
    predict = store.name(copy.graph.nodes[copy.graph.predict["A", 0]])
    for name in (train, predict):
        store.drop_marks(name, DoneMark)
    (store.root / predict / "attempt-1").mkdir(exist_ok=True)
    (store.root / predict / "attempt-1" / Failure.FILE).write_text("{}")
    (store.root / "notes").mkdir()
    (store.root / ".gone.x").mkdir()
    found = {one.name: one.state for one in contents(store.root)}
    assert (found[train], found[predict]) == ("unfinished", "failed")
    assert not {"notes", ".gone.x"} & found.keys()
    assert list(contents(store.root / "missing")) == []


def test_a_node_is_removed_as_a_whole_and_so_is_what_a_killed_process_left(copy: Run, tmp_path: Path) -> None:
    one = next(iter(contents(copy.store.root)))
    (copy.store.root / ".gone.x").mkdir()
    remove(copy.store.root, one)
    remove(copy.store.root, one)
    assert one.name not in {left.name for left in contents(copy.store.root)}
    assert list(copy.store.root.glob(".gone.*")) == []
