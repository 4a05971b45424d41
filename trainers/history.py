"""The history of a training job, `history.jsonl`: one line per epoch; and the names of the checkpoints beside it.

Imports no torch, so that read-only commands start fast.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = [
    "CHECKPOINT", "HISTORY", "PREVIOUS", "epoch_line", "is_measured", "latest_history", "parse_history", "read_history",
]  # fmt: skip

HISTORY = "history.jsonl"
CHECKPOINT = "checkpoint.safetensors"
PREVIOUS = "checkpoint-previous.safetensors"


def is_measured(key: str) -> bool:
    """Whether a key of an epoch's record has a measured value, which differs from run to run of the same work."""
    return key in ("seconds", "samples_per_s", "time") or key.startswith("system/")


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The epoch records of a job so far, without an unfinished last line."""
    try:
        return parse_history((folder / HISTORY).read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:  # also if it is removed at this moment
        return []


def parse_history(text: str) -> list[dict[str, Any]]:
    """The records in the text of a history, up to the first line that is not a record."""
    records = []
    for line in text[: text.rfind("\n") + 1].splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            break
        if not isinstance(record, dict) or not isinstance(record.get("lwlrap"), float | int):
            break
        records.append(record)
    return records


def latest_history(folders: Iterable[Path]) -> list[dict[str, Any]]:
    """The longest history of several attempts at one job; the others are prefixes of it."""
    return max((read_history(folder) for folder in folders), key=len, default=[])


def epoch_line(record: Mapping[str, Any], epochs: int) -> str:
    """An epoch's record as a line of a log.

    Args:
        record: of the epoch.
        epochs: of the whole training.
    """
    losses = {name.removeprefix("loss_"): value for name, value in record.items() if name.startswith("loss")}
    words = ", ".join(f"{name} {value:.4f}" for name, value in losses.items())
    return (
        f"epoch {record['epoch']} of {epochs}: loss {words}; lwlrap {record['lwlrap']:.4f}; rate {record['lr']:.3g}; "
        f"{record['samples_per_s']:.1f} samples/s; {record['seconds']:.1f} s"
    )
