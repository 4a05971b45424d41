"""What a launch prints while jobs start and end."""

import io

from rich.console import Console

from orchestrator.planning.plan import Plan, PlannedNode
from orchestrator.planning.scheduler import Finished
from orchestrator.run.bound import Run
from orchestrator.store.node import Node
from orchestrator.views.progress import READ, LaunchView


def view_of(run: Run, *, terminal: bool = False) -> tuple[LaunchView, io.StringIO]:
    """A view of a launch to which everything is new."""
    file = io.StringIO()
    plan = Plan(run.graph, tuple(PlannedNode(node, "new", "") for node in run.graph.nodes.values()))
    return LaunchView(
        run, plan, Console(file=file, width=200, force_terminal=terminal, highlight=False, markup=False)
    ), file


def by_name(run: Run) -> dict[str, Node]:
    return {node.name: node for node in run.graph.nodes.values()}


def test_each_training_job_has_a_line_at_its_start_and_its_end(inline_run: Run) -> None:
    view, file = view_of(inline_run)
    node = by_name(inline_run)["train-A-0"]
    view.on_start(node)
    view.on_finish(node, Finished(node.signature, "done"))
    view.close()
    result = inline_run.store.done(node).result
    started, ended = file.getvalue().splitlines()
    assert started.endswith("train-A-0 started")
    assert ended.endswith(f"train-A-0 done  lwlrap {result['last_lwlrap']:.3f} (best {result['best_lwlrap']:.3f})")
    assert (view.jobs_done, view.running) == (1, {})


def test_an_outcome_that_is_not_done_is_printed_with_its_cause(inline_run: Run) -> None:
    view, file = view_of(inline_run)
    node = by_name(inline_run)["predict-A-0"]
    view.on_start(node)
    view.on_finish(node, Finished(node.signature, "lost", "[bold]it was killed"))
    view.close()
    assert file.getvalue().endswith("predict-A-0 lost: [bold]it was killed\n")
    assert view.jobs_done == 0


def test_features_are_reported_once_when_all_are_there(inline_run: Run) -> None:
    view, file = view_of(inline_run)
    shards = [node for node in inline_run.graph.nodes.values() if node.shard is not None]
    for node in shards:
        view.on_start(node)
        view.on_finish(node, Finished(node.signature, "done"))
    view.close()
    (line,) = file.getvalue().splitlines()
    assert f"features of {view.clips_total} clips done" in line
    assert view.clips_done == view.clips_total == sum(len(n.shard.clips) for n in shards if n.shard is not None)


def drawn(view: LaunchView) -> str:
    """The picture that a terminal shows now."""
    console = Console(file=io.StringIO(), width=100, height=30)
    console.print(view.draw())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_terminal_shows_the_grid_and_what_runs(inline_run: Run) -> None:
    view, _ = view_of(inline_run, terminal=True)
    nodes = by_name(inline_run)
    try:
        assert "0 of" in drawn(view), "nothing is known of the time left"
        assert " left" not in drawn(view)
        view.on_start(nodes["train-A-0"])
        view.on_start(nodes["predict-plain-0"])
        shown = drawn(view)
        assert "2/2 ." in next(line for line in shown.splitlines() if line.startswith("A "))
        assert "also running: predict-plain-0" in shown
        view.on_finish(nodes["train-A-0"], Finished(nodes["train-A-0"].signature, "done"))
        shown = drawn(view)
        assert "2/2" not in shown
        assert "1 of" in shown
        assert "about" in shown
        assert " left" in shown
    finally:
        view.close()


def test_many_running_jobs_are_read_and_named_some_at_a_time(inline_run: Run) -> None:
    view, _ = view_of(inline_run, terminal=True)
    try:
        for node in inline_run.graph.nodes.values():
            view.on_start(node)
        trainings = sum(node.kind == "train" for node in inline_run.graph.nodes.values())
        assert trainings >= READ
        shown = drawn(view)
        assert "more shard" in shown
        assert "features of 0 of" in shown
    finally:
        view.close()


def test_a_view_never_stops_a_launch(inline_run: Run) -> None:
    view, _ = view_of(inline_run)
    assert not view.should_stop()
    view.close()
