"""Datasets, and what grids read beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import InputError
from orchestrator.api.given import Place

if TYPE_CHECKING:
    from features.datasets.init import Initialised
    from features.fetch.download import Teller
    from features.fetch.fetch import Fetched
    from features.summary import DatasetSummary

__all__ = ["EncoderFile", "check", "encoder", "fetch", "init"]


def fetch(name: str, data: Place, *, teller: Teller | None = None) -> Fetched:
    """Download, check and unpack a published dataset. Called again after a break, it continues.

    Args:
        name: 'fsdkaggle2019' (Zenodo, 26 GB) or 'esc50' (GitHub, 0.6 GB).
        data: folder of the dataset; made if it is not there.
        teller: shows what happens; by default nothing is shown.

    Raises:
        InputError: there is no such dataset, the folder can't be used, or another process fetches into it.
        DataError: the disk has not enough space.
        FetchError: the server is out of reach, or sends something else; what is usable is kept.
    """
    from features.fetch.download import Silent
    from features.fetch.fetch import fetch as bring

    return bring(name, Path(data), teller or Silent())


def init(data: Place, *, force: bool = False) -> Initialised:
    """Look at a folder of sounds and describe it in a dataset.yaml. No audio is copied, moved or changed.

    Args:
        data: the folder: one folder per class, audio with a CSV or JSON Lines file of labels, or a published dataset.
        force: replace a dataset.yaml that says something else.

    Raises:
        InputError: there is no such folder, or its dataset.yaml says something else.
        DataError: no dataset can be recognised; nothing is written.
    """
    from features.datasets.init import init as initialise

    return initialise(Path(data), force=force)


def check(data: Place, *, group_by: str | None = None) -> DatasetSummary:
    """Check every file of a dataset.

    Args:
        data: folder of the dataset, or its dataset.yaml.
        group_by: column of the CSV files that groups clips, to be checked as well.

    Raises:
        InputError: there is no such folder.
        DataError: the dataset has problems; `problems` has all of them, one sentence each.
    """
    from features.datasets.find import dataset_folder, find_layout
    from features.manifest import build_manifest
    from features.settings import DataSettings
    from features.summary import DatasetSummary

    folder = dataset_folder(Path(data))
    settings = DataSettings(group_by=group_by)
    if folds := find_layout(folder).official_folds:
        settings = settings.model_copy(update={"folds": min(max(folds, 2), 100)})
    return DatasetSummary.of(build_manifest(folder, settings))


@dataclass(frozen=True)
class EncoderFile:
    """The file of an encoder."""

    path: Path
    licence: str
    """Who made the weights, and under which licence they may be used."""


def encoder(name: str, out: Place, *, wheel: Place | None = None) -> EncoderFile:
    """Make the file of a frozen encoder, for `features.embedding` of a grid.

    Args:
        name: 'aisfx', made from the PyPI package of that name (docs/encoders.md).
        out: a new `.onnx` or `.pt2` file.
        wheel: the package's wheel; by default pip downloads it.

    Raises:
        InputError: there is no such encoder, the file exists, or the wheel is not the known one.
    """
    from features.encoders.aisfx_wheel import LICENCE, write_aisfx
    from orchestrator.run.places import require_new

    if name != "aisfx":
        raise InputError(f"there is no encoder '{name}': choose aisfx, or bring your own (docs/encoders.md)")
    require_new("--out", Path(out))
    write_aisfx(Path(out), None if wheel is None else Path(wheel))
    return EncoderFile(Path(out), LICENCE)
