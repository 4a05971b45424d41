"""Launching a grid: check the data, plan, run what is not done, mirror to MLflow, report.

Launching again is resuming.
"""

import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich.console import Console

from features.errors import InputError
from features.files import write_json
from features.shards import require_free_space
from orchestrator.grids.load import change_recipe
from orchestrator.planning.cost import in_counted_order, node_costs
from orchestrator.planning.plan import Plan, require_nodes
from orchestrator.planning.scheduler import Events, Executor, Finished, Summary, run_plan
from orchestrator.run.bound import Run, read_binding
from orchestrator.run.execution import Execution
from orchestrator.run.owner import own
from orchestrator.run.record import read_run_json
from orchestrator.run.selection import Selection, plan_of, prepare
from orchestrator.store.marks import Failure
from orchestrator.store.node import Node
from orchestrator.tracking.mirror import MirrorThread
from orchestrator.views.labels import score_labels
from orchestrator.views.progress import LaunchView
from orchestrator.views.report import build_report, write_reports
from orchestrator.views.report_tables import print_report
from trainers.supervisor import Stop

__all__ = ["launch", "resume"]


def launch(
    run: Run, execution: Execution, selection: Selection, console: Console, *, labels: Path | None = None
) -> int:
    """Run everything that is not done; gives the exit code: 0 done, 1 a job failed or the run was stopped.

    Where the test labels are known already, `labels`, the report holds the test scores at once.

    Raises:
        InputError: the folder holds another grid, or another process runs it.
    """
    previous = read_run_json(run.folder)
    if previous is not None and previous["grid"] != run.recipe.name:
        raise InputError(f"{run.folder} holds grid '{previous['grid']}', not '{run.recipe.name}'; use another --out")
    require_nodes(selection.apply(run), selection.force)
    with own(run.folder) as owner:
        if owner.took_over:
            console.print(f"{owner.took_over} is gone; this one goes on with its run", highlight=False)
        return _launch(run, execution, selection, console, labels)


def _launch(run: Run, execution: Execution, selection: Selection, console: Console, labels: Path | None) -> int:
    plan = plan_of(run, selection)
    pending = plan.pending
    need = sum(planned.node.shard.n_bytes for planned in pending if planned.node.shard is not None)
    run.store.root.mkdir(parents=True, exist_ok=True)
    if "://" not in run.store.url:
        require_free_space(run.store.root, need)
    run.save()
    cached = len(plan.nodes) - len(pending)
    for note in run.manifest.notes:
        console.print(f"note: {note}", highlight=False, markup=False)
    for planned in pending:
        if planned.action == "repair":
            console.print(f"repair: {planned.reason}", highlight=False, markup=False)
    if pending:
        console.print(
            f"{len(pending)} jobs to run, {cached} cached, store {run.store.url}", highlight=False, markup=False
        )
    else:
        console.print(f"nothing to do: all {cached} jobs are cached", highlight=False)
    for planned in pending:
        if planned.action in ("force", "repair"):
            run.store.forget(planned.node)
    states: dict[str, str] = {}
    mirror = MirrorThread(run, states)
    mirror.start()
    summary = _execute(run, plan, execution, console, states) if pending else Summary()
    run.store.refresh()
    for node in plan.graph.nodes.values():
        if run.store.has_leftovers(node):
            run.store.sweep(run.store.name(node))
    if labels is not None and not summary.failed and not summary.stopped:
        score_labels(run, labels)
    write_reports(run)
    trouble = mirror.finish()
    if trouble is not None:
        console.print(
            f"warning: MLflow is not up to date ({trouble}); nothing is lost, the next launch or "
            f"'sonogrid sync {run.folder}' brings it up to date",
            style="yellow", highlight=False,
        )  # fmt: skip
    print_report(build_report(run), console)
    return _epilogue(run, plan, summary, console)


def resume(
    folder: Path,
    execution: Execution,
    console: Console,
    *,
    skip_bad: bool = False,
    selection: Selection | None = None,
    changes: Sequence[str] = (),
) -> int:
    """Launch what `run.json` describes again, with changed settings if there are any."""
    recipe, data_root, root = read_binding(folder)
    run = prepare(change_recipe(recipe, changes), data_root, folder, root, skip_bad=skip_bad)
    return launch(run, execution, selection or Selection(), console)


def _execute(run: Run, plan: Plan, execution: Execution, console: Console, states: dict[str, str]) -> Summary:
    costs = node_costs(plan.graph, run.recipe, run.manifest, (planned.node for planned in plan.pending))
    plan = in_counted_order(plan, costs)
    view = LaunchView(run, plan, console)
    with _interruptible(console) as stopping:
        executor = _executor(run, execution, stopping)
        try:
            summary = run_plan(plan, executor, _LaunchEvents(run, view, states, stopping), retries=execution.retries)
        finally:
            view.close()
            executor.close()
            states.clear()
    _write_timeline(run, summary)
    return summary


@dataclass(frozen=True)
class _LaunchEvents(Events):
    """Passes the scheduler's events on to the terminal and MLflow, and a signal on to the scheduler."""

    run: Run
    view: LaunchView
    states: dict[str, str]
    """Signature -> 'running', for MLflow."""
    stopping: Callable[[], Stop]

    def on_start(self, node: Node) -> None:
        self.states[node.signature] = "running"
        self.view.on_start(node)

    def on_finish(self, node: Node, finished: Finished) -> None:
        self.states.pop(node.signature, None)
        self.run.store.refresh(node)
        self.view.on_finish(node, finished)

    def on_tick(self) -> None:
        self.view.on_tick()

    def should_stop(self) -> bool:
        return self.stopping() != "no"


def _executor(run: Run, execution: Execution, stopping: Callable[[], Stop]) -> Executor:
    if execution.executor == "inline":
        from orchestrator.executors.inline import InlineExecutor

        return InlineExecutor(run, execution, stopping)
    from orchestrator.executors.ray.executor import RayExecutor

    return RayExecutor(run, execution, stopping)


@contextmanager
def _interruptible(console: Console) -> Iterator[Callable[[], Stop]]:
    """Ctrl-C: finish the epoch and stop; SIGTERM: stop at the next step; a second one: at once."""
    asked: list[Stop] = []

    def handle(number: int, _: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append("epoch" if number == signal.SIGINT else "now")
        when = "after the running epochs" if number == signal.SIGINT else "at the next step"
        console.print(f"stopping {when}; once more (Ctrl-C) stops at once")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked[0] if asked else "no"
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write_timeline(run: Run, summary: Summary) -> None:
    timeline = [{"name": name, "start_s": round(a, 3), "end_s": round(b, 3)} for name, a, b in summary.timeline]
    write_json(run.folder / "timeline.json", timeline)


def _rescue_hint(run: Run, node: Node) -> str | None:
    """What to type to go on with a lower learning rate, where the loss became nan or inf."""
    failure = run.store.read_mark(run.store.name(node), Failure)
    if failure is None or failure.epochs_done is None or node.condition is None:
        return None
    rescue = f"conditions.{node.condition}.rescue.{node.split}={{after: {failure.epochs_done}, lr_factor: 0.1}}"
    return f"to go on from there with a tenth of the learning rate: sonogrid resume {run.folder} --set '{rescue}'"


def _epilogue(run: Run, plan: Plan, summary: Summary, console: Console) -> int:
    """Failures with their causes, then what to type next."""
    for signature, cause in summary.failed.items():
        node = plan.graph.nodes[signature]
        console.print(f"failed: {node.name}: {cause}", style="red", highlight=False)
        console.print(f"        log: {run.store.log(node)}", highlight=False, markup=False)
        hint = _rescue_hint(run, node)
        if hint:
            console.print(f"        {hint}", highlight=False, markup=False)
    if summary.blocked:
        console.print(f"{len(summary.blocked)} jobs wait for a failed one", highlight=False)
    lines: Sequence[str]
    # Outside the activated environment the command is not on the PATH: say what can be typed.
    command = "sonogrid" if shutil.which("sonogrid") else sys.argv[0]
    if summary.failed or summary.stopped:
        lines = [f"{command} resume {run.folder}"]
    else:
        lines = [
            f"{command} ui {run.folder}                    browse every fold in MLflow",
            f"{command} predict {run.folder} FILES         tag new files",
            f"{command} score {run.folder} --labels CSV    lwlrap on the test clips",
        ]
    console.print("next:")
    for line in lines:
        console.print(f"  {line}", highlight=False, markup=False)
    return 1 if summary.failed or summary.stopped else 0
