"""The tagger of a run, as a page, a file, and a model in MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from orchestrator.api.given import Place, open_run, quiet

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.export.export import Exported
    from orchestrator.tracking.models import Registered

__all__ = ["export", "register", "serve"]


def serve(run: Place, *, port: int = 8000, console: Console | None = None) -> int:
    """Serve a page and a JSON endpoint that tag sounds, on localhost until Ctrl-C; returns 0.

    Raises:
        InputError: there is no run in the folder, or the port is in use or not allowed.
        StoreError: the blend is not done yet.
    """
    from orchestrator.serving.server import serve as serve_page

    return serve_page(run, port, console or quiet())


def export(
    run: Place,
    to: Place,
    *,
    condition: str | None = None,
    fold: int | None = None,
    cycle: int | None = None,
    members: int | None = None,
    precision: Literal["fp32", "fp16", "int8"] = "fp32",
) -> Exported:
    """Write a finished run's tagger to one file, and hold the file against the run on clips of the dataset.

    Args:
        run: RUN folder.
        to: new `.onnx`, `.pt2` or `.tagger` file.
        condition: only the members of this condition, with equal weights, instead of the blend.
        fold: of the condition, only the networks that were trained without this fold.
        cycle: of the condition, only the snapshots of this cycle, from 1.
        members: only so many members of the blend, those with the highest weights.
        precision: bits of the weights in the file. What is computed with is float32.

    Raises:
        InputError: the file exists or has another ending, there is no such condition, fold or cycle, or the networks
            can't become a file of this format.
        StoreError: the blend is not done yet, or a result is damaged.
        JobError: the file's scores are not those of the run; it is not kept.
    """
    from orchestrator.export.export import export_tagger

    return export_tagger(
        Path(run), Path(to), condition=condition, fold=fold, cycle=cycle, members=members, precision=precision
    )


def register(run: Place, *, condition: str | None = None) -> Registered:
    """Register the blend in MLflow under the name of the grid, once MLflow is up to date with the store.

    It becomes `models:/GRID@champion` if its nested out-of-fold lwlrap is higher than the champion's on the same data.

    Args:
        run: the RUN folder.
        condition: register this condition instead, such as a student, as GRID-CONDITION.

    Raises:
        InputError: there is no run in the folder, or no such condition.
        StoreError: the blend or the condition is not done yet.
        TrackingError: MLflow cannot be reached.
    """
    from orchestrator.tracking.models import register as register_model

    return register_model(open_run(run), condition)
