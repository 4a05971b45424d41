"""The cost of a plan on a terminal: a table of conditions, then disk and time."""

from rich.console import Console

from features.words import count
from orchestrator.planning.cost import START_UP_S, Cost, Machines, NodeCost
from orchestrator.views.table import Lines

__all__ = ["print_cost"]

COLUMNS = ("condition", "jobs", "epochs", "training FLOP", "prediction FLOP", "GPU hours", "disk")


def print_cost(cost: Cost, console: Console) -> None:
    """Print one row per condition, then disk and time; one line if no job is left."""
    if not cost.plan.pending:
        console.print("nothing to run")
        return
    machines, total = cost.machines, cost.total
    rows = [(name, *_cells(row, machines)) for name, row in (*cost.conditions.items(), ("all", total))]
    console.print("cost of remaining work", style="italic")
    console.print(Lines(COLUMNS, rows, right=COLUMNS[1:], styles={"all": "bold"}))
    gpu = machines.gpu
    all_float32 = total.float32_flops > (1 - 1e-9) * (total.training_flops + total.prediction_flops)  # sums are rounded
    peaks = {} if all_float32 else {gpu.number: gpu.peak}
    peaks |= {"float32": gpu.float32_peak} if total.float32_flops else {}
    which = " and ".join(f"{number} peak of {peak / 1e12:g} TFLOP/s" for number, peak in peaks.items())
    rate = f"{machines.utilisation:.0%} of its {which}"
    gpus = count(machines.gpus, "GPU")
    lines = (
        f"disk: features {_size(total.features_bytes)}, snapshots {_size(total.snapshots_bytes)}, predictions "
        f"{_size(total.predictions_bytes)}; checkpoints of running jobs at most {_size(cost.checkpoints_bytes)}",
        f"time: on {gpu.name} at {rate}, and {START_UP_S:g} s of start-up per training job",
        f"makespan on {gpus}: {_time(cost.makespan_s)}, lower bound {_time(cost.lower_bound_s)}, ratio "
        f"{cost.ratio:.3f}",
        "--gpu, --gpus and --utilisation choose other machines",
    )
    for line in lines:
        console.print(line)


def _cells(row: NodeCost, machines: Machines) -> tuple[str, ...]:
    flops = (f"{value:.2e}" for value in (row.training_flops, row.prediction_flops))
    return f"{row.jobs}", f"{row.epochs:,}", *flops, _hours(row.gpu_s(machines)), _size(row.disk_bytes)


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.2f}"


def _time(seconds: float) -> str:
    return f"{_hours(seconds)} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:,.1f} MB"
