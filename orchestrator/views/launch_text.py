"""What a launch prints before its jobs and after them: notes, failures with their causes, and what to type next."""

import shutil
import sys

from rich.console import Console

from features.words import count
from orchestrator.planning.plan import Plan
from orchestrator.planning.scheduler import Summary
from orchestrator.redact import redact
from orchestrator.report.types import Report
from orchestrator.run.bound import Run
from orchestrator.store.node import Node

__all__ = ["print_end", "print_mlflow_warning", "print_start"]


def print_start(run: Run, plan: Plan, console: Console) -> None:
    """Notes on the dataset and the grid, results that are repaired, and how many jobs there are."""
    for note in (*run.manifest.notes, *run.notes):
        console.print(f"note: {note}")
    for planned in plan.pending:
        if planned.action == "repair":
            console.print(f"repair: {planned.reason}")
    pending = len(plan.pending)
    cached = len(plan.nodes) - pending
    if pending:
        console.print(f"{count(pending, 'job')} to run, {cached} cached, store {run.store.url}")
    else:
        console.print(f"nothing to do: {count(cached, 'job')} cached")


def print_mlflow_warning(run: Run, trouble: str, console: Console) -> None:
    """MLflow lags behind the store."""
    console.print(
        f"warning: MLflow is not up to date ({trouble}); nothing is lost: the next launch or "
        f"'sonogrid sync {run.folder}' brings it up to date",
        style="yellow",
    )


def print_end(
    run: Run, plan: Plan, summary: Summary, report: Report, console: Console, *, page: str, address: str | None = None
) -> None:
    """Failures with their causes, where the report is, then what to type next.

    Args:
        run: the run.
        plan: what was to be done.
        summary: what was done.
        report: the scores.
        console: where it is printed.
        page: the file of the report in the RUN folder.
        address: of the cluster, if one was given.
    """
    for signature, cause in summary.failed.items():
        node = plan.graph.nodes[signature]
        console.print(f"failed: {node.name}: {cause}", style="red")
        if log := run.store.log(node):
            console.print(f"        log: {log}")
        if hint := _rescue_hint(run, node):
            console.print(f"        {hint}")
    if summary.blocked:
        blocked = len(summary.blocked)
        console.print(f"{count(blocked, 'job')} {'is' if blocked == 1 else 'are'} blocked by a failed job")
    console.print(f"report: {run.folder / page}", soft_wrap=True)
    console.print("next:")
    commands = _next(run, plan, summary, report, f" --address {redact(address)}" if address else "")
    width = max(len(command) for command, _ in commands)
    for command, purpose in commands:
        console.print(f"  {command:<{width}}  {purpose}".rstrip())


def _next(run: Run, plan: Plan, summary: Summary, report: Report, where: str) -> list[tuple[str, str]]:
    """Commands that make sense now, each with its purpose."""
    # Outside the activated environment the command is not on the PATH: say what can be typed.
    command = "sonogrid" if shutil.which("sonogrid") else sys.argv[0]
    if summary.failed or summary.stopped:
        return [(f"{command} resume {run.folder}{where}", "")]
    lines = [(f"{command} ui {run.folder}", "browse every fold in MLflow")]
    if report.blend.oof_lwlrap is None:
        part = " --all" if len(plan.graph.nodes) < len(run.graph.nodes) else ""
        lines.append((f"{command} resume {run.folder}{part}{where}", "run the rest of the grid"))
        return lines
    lines.append((f"{command} predict {run.folder} FILES", "tag new files"))
    if report.test is None and len(run.manifest.subset("test")):
        lines.append((f"{command} score {run.folder} --labels CSV", "lwlrap on the test clips"))
    return lines


def _rescue_hint(run: Run, node: Node) -> str | None:
    """What to type to continue with a lower learning rate, where the loss became nan or inf."""
    failure = run.store.failure(run.store.name(node))
    if failure is None or failure.epochs_done is None or node.condition is None:
        return None
    rescue = f"conditions.{node.condition}.rescue.{node.split}={{after: {failure.epochs_done}, lr_factor: 0.1}}"
    return f"continue from there with a tenth of the learning rate: sonogrid resume {run.folder} --set '{rescue}'"
