"""The driver: one process takes a RUN to its end.

A launch checks the data, plans, runs what is not done, mirrors it to MLflow, writes the report and registers the blend.
Launching again is resuming.
"""

import faulthandler
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from features.errors import InputError, SonogridError
from features.files import write_json
from features.shards import require_free_space
from features.words import count
from orchestrator.executors import open_executor
from orchestrator.grids.load import change_recipe
from orchestrator.interrupts import interruptible
from orchestrator.pages import PAGE
from orchestrator.pages.overview import refresh_overviews
from orchestrator.pages.write import write_pages
from orchestrator.planning.cost import in_counted_order, node_costs
from orchestrator.planning.plan import Plan, require_nodes
from orchestrator.planning.scheduler import Events, Finished, Summary, run_plan
from orchestrator.report.build import write_reports
from orchestrator.report.labels import own_labels, score_labels
from orchestrator.report.scores import predictions_of
from orchestrator.report.tables import print_report
from orchestrator.report.types import Report
from orchestrator.run.bound import Run, read_binding
from orchestrator.run.command import resume_command
from orchestrator.run.execution import Execution
from orchestrator.run.owner import Owner, own
from orchestrator.run.same import require_same
from orchestrator.run.selection import Selection, plan_of, prepare, read_asked
from orchestrator.store.node import Node
from orchestrator.store.patient import patient
from orchestrator.tracking import MirrorThread, Place
from orchestrator.views.launch_text import print_end, print_mlflow_warning, print_start
from orchestrator.views.progress import LaunchView
from trainers.supervisor import Stop

if TYPE_CHECKING:
    from orchestrator.tracking.models import Registered

__all__ = ["LaunchResult", "execute", "forget", "launch", "resume", "save"]


@dataclass(frozen=True, repr=False)
class LaunchResult:
    """How a launch ended."""

    run: Path
    """The RUN folder."""
    done: int
    """Jobs that this launch finished; those that were cached are not counted."""
    failed: dict[str, str]
    """Name of each job that failed -> its cause, one sentence."""
    blocked: tuple[str, ...]
    """Names of the jobs that need a failed one."""
    stopped: bool
    """Whether Ctrl-C or SIGTERM ended the launch early."""
    report: Report
    registered: "tuple[Registered, ...]" = ()
    """New versions in MLflow's registry, of the blend and of students; none of those that have one or are not done."""

    @property
    def ok(self) -> bool:
        """Whether everything that was asked for is done."""
        return not self.failed and not self.stopped

    def __repr__(self) -> str:
        parts = [f"{count(self.done, 'job')} done"]
        parts += [f"failed: {name} ({cause})" for name, cause in self.failed.items()]
        parts += [f"{len(self.blocked)} blocked"] if self.blocked else []
        parts += ["stopped"] if self.stopped else []
        score = self.report.blend.oof_lwlrap_nested
        parts += [f"blend {score:.3f} lwlrap out of fold"] if score is not None else []
        return f"<LaunchResult of {self.run}: {', '.join(parts)}>"


def launch(
    run: Run, execution: Execution, selection: Selection, console: Console, *, labels: Path | None = None
) -> LaunchResult:
    """Run everything that is not done. A store that stops answering is waited for.

    Args:
        run: a grid bound to a dataset and a store.
        execution: where and how its jobs run.
        selection: the part of the grid that is wanted.
        console: shows progress, the report and what to do next.
        labels: CSV of the test labels, if they are known: the report then has the test scores.

    Raises:
        InputError: the folder holds another grid, other data or another store, or another process runs it.
        StoreError: another process took the run over, as this one was suspended.
    """
    require_same(run)
    run = replace(run, store=patient(run.store, console.print))
    require_nodes(selection.apply(run), selection.force)
    with own(run.folder) as owner, ExitStack() as at_end:
        run = run.owned_by(owner.number)
        if owner.took_over:
            console.print(f"{owner.took_over} has exited; taking over its run")
        plan = plan_of(run, selection)
        save(run, plan, {**selection.asked(), "execution": execution.asked(), **Place.of(run.folder).record()})
        print_start(run, plan, console)
        forget(run, plan)
        running: set[str] = set()
        mirror = MirrorThread(run, running)
        mirror.start()
        summary = execute(run, plan, execution, console, running, owner, at_end) if plan.pending else Summary()
        owner.check()
        run.store.refresh()
        _sweep(run, plan)
        if not summary.failed and not summary.stopped:
            _score(run, labels, console)
        report = write_reports(run)
        if Place.of(run.folder).folder is None:  # others look at a server at once; at a file, by `sonogrid ui`
            refresh_overviews(run)
        write_pages(run, report, {"html": run.folder / PAGE})
        trouble = mirror.finish()
        if trouble is not None:
            print_mlflow_warning(run, trouble, console)
        print_report(report, console)
        registered = () if trouble is not None or summary.stopped else _register(run, console)
        given = execution.address if execution.executor == "ray" else None
        print_end(
            run,
            plan,
            summary,
            report,
            console,
            page=PAGE,
            address=None if given == os.environ.get("RAY_ADDRESS") else given,
        )
    return LaunchResult(
        run=run.folder,
        done=summary.done,
        failed={plan.graph.nodes[signature].name: cause for signature, cause in summary.failed.items()},
        blocked=tuple(plan.graph.nodes[signature].name for signature in summary.blocked),
        stopped=summary.stopped,
        report=report,
        registered=registered,
    )


def _register(run: Run, console: Console) -> "tuple[Registered, ...]":
    """Register a new blend and new students in MLflow and say so; what goes wrong there ends nothing."""
    from orchestrator.tracking.models import register_new

    students = [name for name, one in run.recipe.conditions.items() if one.train.distill is not None]
    found = []
    for condition in (None, *students):
        if not (_is_blended(run) if condition is None else predictions_of(run, condition) is not None):
            continue
        again = f"sonogrid register {run.folder}{f' --condition {condition}' if condition else ''}"
        try:
            registered = register_new(run, condition)
        except SonogridError as error:
            what = condition or "the blend"
            console.print(f"warning: {what} is not registered ({error}); later: {again}", style="yellow")
            break
        if registered is not None:
            copy = "" if registered.copied else f"; MLflow refers to {run.folder}, '{again}' copies its networks"
            console.print(f"registered {registered}{copy}", soft_wrap=True)
            found.append(registered)
    return tuple(found)


def _score(run: Run, labels: Path | None, console: Console) -> None:
    """Score the test clips by given labels, else by the dataset's own; wrong ones of its own end nothing."""
    if labels is not None:
        score_labels(run, labels)
    elif not (run.folder / "score.json").exists() and _is_blended(run) and own_labels(run):
        try:
            score_labels(run)
        except InputError as error:
            console.print(f"note: the test clips are not scored: {error}")


def _is_blended(run: Run) -> bool:
    return run.graph.blend is not None and run.store.state(run.graph.nodes[run.graph.blend]).state == "done"


def resume(
    folder: Path,
    execution: Execution,
    console: Console,
    *,
    skip_bad: bool = False,
    selection: Selection | None = None,
    everything: bool = False,
    changes: Sequence[str] = (),
) -> LaunchResult:
    """Launch what `run.json` describes again: the same part of the grid, with changed settings if there are any.

    Args:
        folder: RUN.
        execution: where and how its jobs run.
        console: shows progress.
        skip_bad: set bad clips aside, also if the launch before did not.
        selection: which of the jobs are wanted; conditions and folds are those of the launch before.
        everything: run the whole grid instead.
        changes: settings to change, as 'PATH=VALUE'.
    """
    asked = read_asked(folder)
    recipe, data_root, root = read_binding(folder)
    wanted = replace(selection or Selection(), time_limit=asked.time_limit)
    if not everything:
        wanted = replace(wanted, conditions=asked.conditions, folds=asked.folds)
    skips = skip_bad or asked.skip_bad
    typed = [asked.command] if asked.command else []
    typed += [resume_command(folder, changes)] if changes and asked.command else []
    run = prepare(change_recipe(recipe, changes), data_root, folder, root, skip_bad=skips, relabel=asked.relabel)
    wanted = replace(wanted, skip_bad=skips, relabel=asked.relabel, command="\n".join(typed))
    return launch(run, execution, wanted, console)


def save(run: Run, plan: Plan, asked: Mapping[str, Any]) -> None:
    """Write down what is launched and how, once there is room for its features."""
    need = sum(planned.node.shard.n_bytes for planned in plan.pending if planned.node.shard is not None)
    run.store.root.mkdir(parents=True, exist_ok=True)
    if "://" not in run.store.url:
        require_free_space(run.store.root, need)
    run.save(asked)


def forget(run: Run, plan: Plan) -> None:
    """Drop results that are computed again although they are there."""
    for planned in plan.pending:
        if planned.action in ("force", "repair"):
            run.store.forget(planned.node)


def _sweep(run: Run, plan: Plan) -> None:
    """Remove what attempts left behind."""
    for node in plan.graph.nodes.values():
        if run.store.has_leftovers(node):
            run.store.sweep(run.store.name(node))


def execute(
    run: Run,
    plan: Plan,
    execution: Execution,
    console: Console,
    running: set[str],
    owner: Owner,
    at_end: ExitStack,
) -> Summary:
    """Run the pending nodes.

    Args:
        run: the run.
        plan: its plan.
        execution: how and where.
        console: shows progress.
        running: gets the signatures of the submitted jobs, for MLflow.
        owner: this process, which stops when it is no longer the owner.
        at_end: closes the executor, once the outcome is written down: this ends many processes, which may go wrong.
    """
    with interruptible(console.print) as asked:

        def stopping() -> Stop:
            return "now" if owner.was_replaced else asked()

        costs = node_costs(plan.graph, run.recipe, run.manifest, (planned.node for planned in plan.pending))
        plan = in_counted_order(plan, costs)
        if execution.executor == "ray":
            console.print(f"connecting to Ray at {execution.address}" if execution.address else "starting Ray")
        view = LaunchView(run, plan, console)
        try:
            executor = open_executor(run, execution, stopping)
            at_end.enter_context(_crash_log(run.folder))  # after Ray's own handlers, which then are called too
            at_end.callback(executor.close)
            summary = run_plan(plan, executor, _LaunchEvents(run, view, running, stopping), retries=execution.retries)
        finally:
            view.close()
            running.clear()
    timeline = [{"name": name, "start_s": round(a, 3), "end_s": round(b, 3)} for name, a, b in summary.timeline]
    write_json(run.folder / "timeline.json", timeline)
    return summary


@contextmanager
def _crash_log(folder: Path) -> Iterator[None]:
    """Have the stack of every thread in RUN/crash.log if this process crashes; an empty log is removed."""
    path = folder / "crash.log"
    if faulthandler.is_enabled():  # somebody else wants them
        yield
        return
    with path.open("a") as log:
        faulthandler.enable(log)
        try:
            yield
        finally:
            faulthandler.disable()
            if path.stat().st_size == 0:
                path.unlink()


@dataclass(frozen=True)
class _LaunchEvents(Events):
    """Passes the scheduler's events on to the terminal and MLflow, and a signal on to the scheduler."""

    run: Run
    view: LaunchView
    running: set[str]
    """Signatures of the submitted jobs, for MLflow."""
    stopping: Callable[[], Stop]

    def on_start(self, node: Node) -> None:
        self.running.add(node.signature)
        self.view.on_start(node)

    def on_finish(self, node: Node, finished: Finished) -> None:
        self.running.discard(node.signature)
        self.run.store.refresh(node)
        if finished.outcome == "damaged" and not finished.damaged:  # it is not the result of a job
            self.run.put_given()
        self.view.on_finish(node, finished)

    def on_tick(self) -> None:
        self.view.on_tick()

    def should_stop(self) -> bool:
        return self.stopping() != "no"
