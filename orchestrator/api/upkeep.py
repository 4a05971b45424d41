"""RUNs and stores: what is there, and what nothing needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.api.given import Place

if TYPE_CHECKING:
    from orchestrator.clean import Cleaning
    from orchestrator.views.stored import Stored

__all__ = ["clean", "runs"]


def runs(place: Place) -> Stored:
    """The RUNs below a folder, or what a store holds.

    Args:
        place: a store in a folder, a RUN, or a folder of RUNs.

    Raises:
        InputError: it is none of these.
        StoreError: a run.json is damaged.
    """
    from orchestrator.views.stored import read_stored

    return read_stored(Path(place))


def clean(place: Place, *, runs: Sequence[Place] = (), dry_run: bool = False) -> Cleaning:
    """Remove from a store what no run needs; never what a run that is not named has computed.

    Args:
        place: a store in a folder, or the RUN that it belongs to.
        runs: further runs that use the store.
        dry_run: only say what would be removed.

    Raises:
        InputError: no run is known, or one of them is alive or has another store.
        StoreError: a run.json is damaged.
    """
    from orchestrator.clean import clean as remove

    return remove(Path(place), [Path(run) for run in runs], dry=dry_run)
