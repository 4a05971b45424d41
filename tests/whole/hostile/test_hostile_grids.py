"""Hostile grids: any one value replaced, YAML that explodes or lies, names that are no names, and --set."""

import copy
import datetime
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from features.errors import GridError
from orchestrator.grids.load import load_grid, parse_grid
from orchestrator.grids.recipe import Recipe

Tell = Callable[..., tuple[str, int]]
Keep = Callable[[str, Sequence[tuple[str, str, int]]], None]

EVERY_FIELD = """
name: tiny
data: {folds: 3, fold_seed: 1, group_by: speaker, stratify: false}
features:
  mel:
    {sample_rate_hz: 44100, n_mels: 16, n_fft_samples: 2560, hop_samples: 1000, fmin_hz: 20.0, fmax_hz: 22050.0,
     shard_mb: 64}
  waveform: {sample_rate_hz: 16_000, shard_mb: 64}
defaults:
  network: {kind: resnet, depth: 10, width: 4, head_units: 8, activation: sigmoid, normalise: clip}
  crop: 16
  batch_size: 4
  cycles: 1
  epochs: 2
  optimizer: adam
  lr_max: 0.001
  lr_min: 0.0001
  loss: bce
  noisy_loss: bce
  padding: zeros
  precise_bn: false
  seed: 0
  threads: 1
  augment: {mixup: {alpha: 1.0}, gain: {low: 0.9, high: 1.1, p: 0.5}, frequency_mask: {low: 1, high: 2}}
  predict: {pads: [2, 4], heads: [curated]}
conditions:
  plain: {crop: [16, 32]}
  A: {multitask: true, predict: {heads: [curated, noisy]}, cycles: 2, features: {n_mels: 16}}
  B: {base: A, cycles: 1, init_from: plain, pseudo: {teacher: A, folds: same, weight: 2.0, temperature: 2.0, loss: mse}}
  M: {semi: {method: mean_teacher, decay: 0.9, weight: 1.0, ramp_epochs: 1.0}}
  N: {semi: {method: mixmatch, views: 2, temperature: 0.5, alpha: 0.5, weight: 1.0, ramp_epochs: 1.0}}
  P: {semi: {method: pseudo_label, threshold: 0.5, weight: 1.0, ramp_start: 0.0, ramp_end: 1.0}}
  D:
    network: {kind: envnet, width: 4, head_units: 8}
    crop: 20_600
    augment: {mixup: false, gain: false, frequency_mask: false, scale: {factor: 1.2}, bc_mix: {}, gain_db: {}}
    predict: {pads: [1_000]}
members: [A, B, D]
paper_weights: {A: 3.0, B: 4.0, D: 1.0}
blend: {trials: 5, seed: 1, budget: 30}
ensembles:
  A-all: {members: {A: {}}}
  A+D: {members: {A: {cycles: [2], pads: [4], heads: [curated, noisy]}, D: {}}, weights: {A: 3.0}}
published: {cv: {A: 0.849}, ensembles: {A+D: 0.89}}
comparisons: {waveforms: [A-all, A+D], nothing: [A, A]}
"""
VALUES: tuple[Any, ...] = (
    None, "", "x" * 5_000, "\x1b[31m", -1, 0, 1.5, True, math.nan, math.inf, 10**12, 10**400, b"x",
    datetime.date(2024, 1, 1), [], {}, [None], [[[]]], {"x": None}, {"kind": []}, {"method": {}},
    {"kind": "resnet", "depth": []},
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from places(inner, (*path, key))


def test_any_one_value_replaced_gives_a_recipe_or_a_sentence() -> None:
    raw = yaml.safe_load(EVERY_FIELD)
    assert isinstance(parse_grid(raw, "grid"), Recipe)
    refused = 0
    for path in places(raw):
        for value in VALUES:
            changed = copy.deepcopy(raw)
            place = changed
            for part in path[:-1]:
                place = place[part]
            place[path[-1]] = value
            try:
                assert isinstance(parse_grid(changed, "grid"), Recipe)
            except GridError as error:
                refused += 1
                sentence = str(error)
                assert sentence.startswith("grid: ")
                assert len(sentence) < 620
                assert sentence.isprintable()
                if not (path[0] in ("defaults", "conditions") and len(path) <= 2):  # what is missing then is named
                    assert any(str(part) in sentence for part in path), (path, sentence)
    assert refused > 3_000


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("augment.mixup.alpha", -1), ("augment.mixup.alpha", 0), ("augment.gain.low", -0.1),
        ("crop", 10**12), ("batch_size", 10**9), ("epochs", 10**12), ("cycles", 10**6), ("network.head_units", 10**9),
        ("predict.pads", [10**9]), ("seed", 2**32), ("features.n_fft_samples", 10**9), ("features.hop_samples", 10**9),
        ("features.n_mels", 1_024),
    ],
)  # fmt: skip
def test_what_would_fail_hours_later_or_fill_the_memory_is_refused(tmp_path: Path, field: str, value: Any) -> None:
    path = tmp_path / "g.yaml"
    path.write_text(
        "{name: t, features: {mel: {n_fft_samples: 1024, n_mels: 16}}, conditions: {A: {network: {kind: resnet}}}}"
    )
    with pytest.raises(GridError, match=field.rsplit(".", maxsplit=1)[-1]):
        load_grid(str(path), [f"conditions.A.{field}={value}"])


SIMPLE = "name: t\nconditions: {A: {epochs: %s}}\n"
NAMED = "name: t\nconditions: {%s: {}}\n"
CHAIN = "name: t\nconditions:\n  A0: {}\n"
OVERLAYS = (
    "name: t\nconditions: {A: {}}\noverlays:\n  o0: {defaults: {seed: 1}}\n"
    + "".join(f"  o{n}: [o{n - 1}, o{n - 1}]\n" for n in range(1, 40))
    + "  one: [two]\n  two: [one]\n"
)
REFUSED: dict[str, str | bytes] = {
    "a bomb of aliases": "a: &a [x, x]\nb: &b [*a, *a]\nname: t\n",
    "a merge key": "name: t\nconditions: {A: {<<: {epochs: 3}}}\n",
    "a Python object": SIMPLE % "!!python/object/apply:os.system ['touch pwned']",
    "a tag that lies": SIMPLE % "!!int x",
    "a tag of one's own": SIMPLE % "!x 3",
    "a date": SIMPLE % "2024-01-01",
    "a date that is none": SIMPLE % "2024-99-99",
    "an octal number": SIMPLE % "010",
    "minutes and seconds": SIMPLE % "1:30",
    "a number of 100,000 parts": SIMPLE % ("1:" * 100_000 + "1"),
    "5,000 digits": SIMPLE % ("9" * 5_000),
    "a number beyond all numbers": SIMPLE % "1e999",
    "a negative number": SIMPLE % "-3",
    "too many epochs": SIMPLE % "1_000_000_000_000",
    "a key that is no name": "name: t\nconditions: {[a]: {}}\n",
    "a key 'no'": NAMED % "no",
    "a key twice": "name: t\nconditions: {A: {epochs: 1, epochs: 2}}\n",
    "a key twice after 10,000 others": "x: {" + "".join(f"k{i}: 1, " for i in range(10_000)) + "z: 1, z: 2}\n",
    "a rescue of a fold that is not there": "name: t\nconditions: {A: {rescue: {'9': {after: 1, lr_factor: 0.1}}}}\n",
    "a field in another's place": "name: t\ndata: {members: 3}\nconditions: {A: {}}\n",
    "epochs: true": SIMPLE % "true",
    "epochs in words": SIMPLE % "'3'",
    "a condition that is a number": "name: t\nconditions: {1: {}}\n",
    "another version of YAML": "%YAML 9.9\n---\nname: t\n",
    "a bracket that is not closed": "name: t\nconditions: {A: {}\n",
    "an HTML page": "<html>login</html>\n",
    "two documents": "name: t\n---\nname: u\n",
    "a control character": "name: \x1b[31m\n",
    "tabs": "name: t\nconditions:\n\tA: {}\n",
    "ten thousand brackets": "[" * 10_000,
    "nested 900 deep": "name: t\nconditions: {A: " + "{a: " * 900 + "}" * 900 + "}\n",
    "UTF-16": (SIMPLE % "2").encode("utf-16"),
    "bytes": bytes(range(256)),
    "2 MB": "#" + "x" * 2_000_000,
    "no bytes": "",
    "a list": "- a",
    "no name": "conditions: {A: {}}\n",
    "no conditions": "name: t\n",
    "a wrong type for a part": "name: t\ndata: 0\nconditions: {A: {}}\n",
    "a grid's name like a path": "name: ../x\nconditions: {A: {}}\n",
    "a condition 'a/b'": NAMED % "a/b",
    "a condition '..'": NAMED % "'..'",
    "a condition with a space": NAMED % "a b",
    "a condition of 300 letters": NAMED % ("x" * 300),
    "a condition with a line break": NAMED % '"a\\nb"',
    "a condition with an escape sequence": NAMED % '"\\e[31mx"',
    "an empty condition name": NAMED % "''",
    "a condition like an option": NAMED % "-rf",
    "an emoji": NAMED % "🐶",
    "rows based on each other": "name: t\nconditions: {A: {base: B}, B: {base: A}}\n",
    "its own teacher": "name: t\nconditions: {A: {multitask: true, pseudo: {teacher: A}}}\n",
    "300 rows, each based on the last": CHAIN + "".join(f"  A{n}: {{base: A{n - 1}}}\n" for n in range(1, 300)),
    "300 warm starts in a chain": CHAIN + "".join(f"  A{n}: {{init_from: A{n - 1}}}\n" for n in range(1, 300)),
    "60,000 trainings": "name: t\ndata: {folds: 100}\nconditions:\n" + "".join(f"  a{n}: \n" for n in range(600)),
    "batches of 3 TB": "name: t\nconditions: {A: {crop: 50_000_000}}\n",
    "a million channels": "name: t\nconditions: {A: {network: {width: 1_000_000}}}\n",
    "a million folds": "name: t\ndata: {folds: 1_000_000}\nconditions: {A: {}}\n",
    "a band above half of the rate": "name: t\nfeatures: {mel: {sample_rate_hz: 16_000}}\nconditions: {A: {}}\n",
    "more bands than bins": "name: t\nfeatures: {mel: {n_mels: 1_000, n_fft_samples: 64}}\nconditions: {A: {}}\n",
    "weights that are all 0": "name: t\nconditions: {A: {}}\npaper_weights: {A: 0}\n",
}
SETTINGS = (
    "epochs", "=3", "a..b=3", "conditions.Z.epochs=1", "conditions.A.epochs=[", "conditions.A.epochs=*x",
    "conditions.A.epochs=" + "[" * 5_000, "a." * 50_000 + "b=1", "data=3", "data.folds.x=2", "conditions=3",
    "\x1b[31m=2", "conditions.A.lr_max=1e400", "conditions.A.network.kind=[]", "conditions.__class__.x=1", "name=../x",
)  # fmt: skip


def test_grids(tmp_path: Path, tell: Tell, keep: Keep) -> None:
    rows = []
    path = tmp_path / "grid.yaml"
    for case, content in REFUSED.items():
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        words, code = tell("plan", "grid.yaml")
        assert (code, words.startswith("grid.yaml")) == (2, True), (case, words)
        rows.append((case, words, code))
    path.write_text(SIMPLE % "2")
    for setting in SETTINGS:
        words, code = tell("plan", "grid.yaml", "--set", setting)
        assert code == 2, setting
        rows.append((f"`--set {setting[:40].encode('unicode_escape').decode()}`", words, code))
    path.write_text(OVERLAYS)
    for overlay in ("o39", "one", "nope"):
        words, code = tell("plan", "grid.yaml", "--overlay", overlay)
        rows.append(({"o39": "2^39 overlays", "one": "overlays in a circle"}.get(overlay, "no overlay"), words, code))
    for case, name in {"no such grid": "pap", "a folder": ".", "a name of 5,000 letters": "x" * 5_000}.items():
        words, code = tell("plan", name)
        rows.append((f"GRID is {case}", words, code))
    assert {code for _, _, code in rows} == {2}
    assert not (tmp_path / "pwned").exists()
    assert [entry.name for entry in tmp_path.iterdir()] == ["grid.yaml"], "nothing half written"
    keep("Grids", rows)
