"""Whether a launch belongs into a RUN folder that has been launched into before.

Its reports would be overwritten by those of another dataset, or its results would be left behind in another store.
"""

from pathlib import Path

from features.errors import InputError, StoreError
from features.manifest import Manifest
from orchestrator.run.bound import Run
from orchestrator.run.record import read_run_json, store_of

__all__ = ["require_same"]


def require_same(run: Run) -> None:
    """Refuse to launch into the folder of another grid, other audio or another store.

    Edited labels, and clips that were added, replaced or removed in the dataset's folder, are no other dataset: what
    depends on them is computed again. A dataset, a RUN or a store that was moved as a whole is the same.

    Raises:
        InputError: the folder holds another run.
    """
    previous = read_run_json(run.folder)
    if previous is None:
        return
    if previous["grid"] != run.recipe.name:
        raise InputError(f"{run.folder} holds grid '{previous['grid']}', not '{run.recipe.name}'; use another --out")
    earlier = store_of(run.folder, previous)
    if earlier != run.store.url and not run.store.layout(previous["manifest"]).is_done:
        raise InputError(
            f"{run.folder} has its results in {earlier}, not in {run.store.url}: give --store {earlier}, or use "
            "another --out"
        )
    data_root = Path(previous["data_root"])
    if data_root != run.data_root and not _has_audio_of(run, previous["manifest"]):
        raise InputError(
            f"{run.folder} holds results on {data_root}, and {run.data_root} has other audio; use another --out (with "
            f"--store {run.store.url}, work on equal clips is shared)"
        )


def _has_audio_of(run: Run, manifest: str) -> bool:
    """Whether the dataset has the same audio files as an earlier manifest in the store."""
    try:
        earlier = Manifest.read(run.store.results_of(manifest))
    except StoreError:  # it was removed or is damaged: nothing says that they are the same
        return False
    columns = ["subset", "clip", "sha256"]
    return bool(earlier.clips[columns].equals(run.manifest.clips[columns]))
