"""The page `docs/grids.md`: every field of a grid, read from the settings themselves.

    python -m orchestrator.grids.reference > docs/grids.md

Types, bounds, defaults and meanings come from the pydantic models; augmentations and losses come from
`trainers.registry`. Only the texts below are written by hand. A test compares the page with this module's output.
"""

import inspect
import re
import sys
import textwrap
import types
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Interval, Le, Len, Lt, MaxLen, MinLen, MultipleOf
from pydantic.fields import FieldInfo

from features.settings import DataSettings, EmbeddingSettings, MelSettings, Settings, WaveformSettings
from orchestrator.grids.ensembles import EnsemblePart, EnsembleSettings, PublishedSettings
from orchestrator.grids.recipe import BlendSettings, MixtureSettings, Recipe
from trainers.registry import AUGMENTATIONS, LOSSES, Parameter
from trainers.settings import (
    NETWORKS,
    SEMI_METHODS,
    DistillSettings,
    PredictSettings,
    PseudoSettings,
    RescueSettings,
    TrainSettings,
)

__all__ = ["reference_page"]

INTRODUCTION = """\
<!-- Generated: python -m orchestrator.grids.reference > docs/grids.md. Change the settings, not this page. -->

# Every field of a grid

A grid is a YAML file. It says what is computed: the data, the conditions, and how they are blended. It does not say how
or where: that belongs to the [command line](guide.md#verbs-and-options).

```yaml
name: mine
data: {folds: 5, group_by: speaker}
defaults: {network: {kind: resnet, depth: 18, width: 32}, crop: 256, cycles: 2, epochs: 40, augment: {mixup: {}}}
conditions:
  plain: {}
  A: {multitask: true}
  B: {base: A, init_from: plain, pseudo: {teacher: A}}
members: [A, B]
```

## How a grid is read

- **Rows.** Each entry of `conditions` is one row of a table: a condition, trained and predicted on every fold.
- **`defaults`** hold for every row. A row lists only what it changes.
- **`base` in a row** names the row that it changes: `B` above is `A` with two more fields.
- **`base` at the top level** names a shipped grid to change. Grid `paper-mini` is grid `paper` with other sizes.
- **Merging is deep.** `augment: {gain: {low: 0.9}}` changes one parameter and keeps the other augmentations. A mapping
  with another `kind` or `method` replaces the inherited one.
- **`false` drops** an inherited part: `augment: {mixup: false}`, `pseudo: false`.
- **`overlays`** are named changes of the same form, or lists of such names. `--overlay A,B` applies them in that order.
- **`--set PATH=VALUE`** changes one field, for instance `--set conditions.A.epochs=20`. The value is read as YAML.
- **Order.** Base grid, grid, overlays, `--set`; the last one wins. Defaults are filled in before anything is hashed.
- **Plain YAML.** Tags, merge keys, octal numbers and times such as `1:30` are refused, because they are easy to
  misread. `20_600` and `1e-3` are numbers.

An unknown or wrong field ends in one sentence that names it and suggests the nearest name.
"""

MORE_FIELDS = """\
| `data` | [data](#data) |  | its defaults | how the dataset is read and split |
| `blend` | [blend](#blend) |  | its defaults | how ensemble weights are searched |
| `features` | mapping |  | none | see [features](#features) |
| `defaults` | mapping |  | none | fields of every [row](#conditions-and-defaults) |
| `conditions` | mapping of name to [row](#conditions-and-defaults) | at least 1 | required | the rows |
| `base` | text |  | none | shipped grid that this one changes |
| `overlays` | mapping |  | none | named changes, or lists of their names |
"""

ROW = """\
Fields of a row, and of `defaults`. Three of them do not describe training:

| field | meaning |
|---|---|
| `base` | row that this row changes |
| `features` | [features](#features) of this row alone |
| `predict` | which [predictions](#predict) are made |
"""

FEATURES = """\
`features: {mel: {...}, waveform: {...}, embedding: {...}}` sets the features of all rows. A row's network decides which
of the three it reads; `pooled` has a field for it."""

AUGMENT = """\
`augment: {NAME: {PARAMETER: VALUE}}`. `NAME: {}` and `NAME: true` take the defaults. Stages follow each other: *read*
(while a clip is cropped), *before_mix*, *mix* (a batch with its partners), *after_mix*. There is at most one *read* and
one *mix* augmentation. `p` is the probability per clip. Bounds of a parameter are in parentheses.
"""

LOSSES_TEXT = """\
Names for `loss`, `noisy_loss` and `pseudo.loss`.
"""

DISTILL = """\
`distill: {teachers: [NAME, ...]}` makes a condition a student: a small network that learns the mean score of
larger ones.
"""

SEMI = """\
`semi: {method: NAME, ...}` trains on the noisy clips without their labels."""

ENSEMBLES = """\
`ensembles: {NAME: {members: ..., weights: ...}}` are fixed weighted means. They need no further jobs.
"""

COMPARISONS = """\
`comparisons: {NAME: [FROM, TO]}` shows the difference of two scores with its interval. Each side is a condition or an
ensemble.
"""

SECTIONS: dict[type[Settings], str] = {
    DataSettings: "data",
    MelSettings: "features-mel",
    WaveformSettings: "features-waveform",
    EmbeddingSettings: "features-embedding",
    TrainSettings: "conditions-and-defaults",
    **{settings: f"network-{settings.model_fields['kind'].default}" for settings in NETWORKS},
    PseudoSettings: "pseudo",
    DistillSettings: "distill",
    **{settings: f"semi-{settings.model_fields['method'].default}" for settings in SEMI_METHODS},
    PredictSettings: "predict",
    RescueSettings: "rescue",
    BlendSettings: "blend",
    MixtureSettings: "mixtures",
    EnsembleSettings: "ensembles",
    EnsemblePart: "ensemble-members",
    PublishedSettings: "published",
}
WORDS = {int: "whole number", float: "number", str: "text", bool: "true or false"}


def reference_page() -> str:
    """The whole page, Markdown, ending in one newline."""
    parts = [
        INTRODUCTION,
        _section("top level", Recipe, leave_out=("data", "conditions", "blend")),
        MORE_FIELDS,
        _section("data", DataSettings),
        f"\n## features\n\n{FEATURES}",
        _section("features mel", MelSettings, level=3),
        _section("features waveform", WaveformSettings, level=3),
        _section("features embedding", EmbeddingSettings, level=3),
        _section("conditions and defaults", TrainSettings, text=ROW),
        *(_section(SECTIONS[settings].replace("-", " "), settings, level=3) for settings in NETWORKS),
        f"\n### augment\n\n{AUGMENT}",
        *_augmentations(),
        f"\n### losses\n\n{LOSSES_TEXT}",
        *_losses(),
        _section("pseudo", PseudoSettings, level=3),
        _section("distill", DistillSettings, level=3, text=DISTILL),
        f"\n### semi\n\n{SEMI}",
        *(_section(SECTIONS[settings].replace("-", " "), settings, level=4) for settings in SEMI_METHODS),
        _section("predict", PredictSettings, level=3),
        _section("rescue", RescueSettings, level=3),
        _section("blend", BlendSettings),
        _section("mixtures", MixtureSettings, level=3),
        _section("ensembles", EnsembleSettings, text=ENSEMBLES),
        _section("ensemble members", EnsemblePart, level=3),
        _section("published", PublishedSettings),
        f"\n## comparisons\n\n{COMPARISONS}",
    ]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip() + "\n"


def _section(
    title: str, settings: type[Settings], *, level: int = 2, text: str = "", leave_out: Sequence[str] = ()
) -> str:
    """A heading, the first sentence of the class's docstring or `text`, and a table of the fields."""
    rows = [_row(name, field) for name, field in settings.model_fields.items() if name not in leave_out]
    text = text or _summary(settings) + "\n"
    header = ["| field | type | bounds | default | meaning |", "|---|---|---|---|---|"]
    return "\n".join([f"\n{'#' * level} {title}\n", text, *header, *rows])


def _row(name: str, field: FieldInfo) -> str:
    bounds = ", ".join(_bounds(field.metadata))
    cells = (f"`{name}`", _type(field.annotation), bounds, _default(field), field.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(annotation: object) -> str:  # noqa: PLR0911 - one line per form of a type
    """A type in words; settings become links to their section."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in WORDS:
        return WORDS[annotation]
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        section = SECTIONS[annotation]
        return f"[{section.partition('-')[2] or section}](#{section})"
    if origin is Annotated:
        bounds = ", ".join(_bounds(arguments[1:]))
        return _type(arguments[0]) + (f" ({bounds})" if bounds else "")
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(part) for part in arguments if part is not type(None))
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"mapping of name to {_type(arguments[1])}"
    return "mapping"


def _bounds(metadata: Iterable[object]) -> list[str]:
    """Limits in words."""
    words = []
    for limit in metadata:
        if isinstance(limit, FieldInfo):
            words += _bounds(limit.metadata)
        elif isinstance(limit, Ge):
            words.append(f">= {_number(limit.ge)}")
        elif isinstance(limit, Gt):
            words.append(f"> {_number(limit.gt)}")
        elif isinstance(limit, Le):
            words.append(f"<= {_number(limit.le)}")
        elif isinstance(limit, Lt):
            words.append(f"< {_number(limit.lt)}")
        elif isinstance(limit, MultipleOf):
            words.append(f"multiple of {_number(limit.multiple_of)}")
        elif isinstance(limit, MinLen):
            words.append(f"at least {limit.min_length}")
        elif isinstance(limit, MaxLen):
            words.append(f"at most {limit.max_length}")
        elif isinstance(limit, Interval | Len):
            words += _bounds(limit)
    return words


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _default(field: FieldInfo) -> str:
    if isinstance(field.json_schema_extra, dict):
        return str(field.json_schema_extra["default"])
    if field.is_required():
        return "required"
    value: object = field.get_default(call_default_factory=True, validated_data={})
    return _value(value)


def _value(value: object) -> str:
    if value is None or value in ((), {}):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Settings):
        kind: object = getattr(value, "kind", None)
        return f"`{{kind: {kind}}}`" if kind else "its defaults"
    if isinstance(value, tuple):
        return f"`[{', '.join(str(one) for one in value)}]`"
    return f"`{_number(value) if isinstance(value, int | float) else value}`"


def _augmentations() -> list[str]:
    rows = ["| name | works on | stage | parameters | what it does |", "|---|---|---|---|---|"]
    for name, entry in AUGMENTATIONS.items():
        parameters = "; ".join(_parameter(key, parameter) for key, parameter in entry.parameters.items())
        cells = (f"`{name}`", ", ".join(entry.inputs), entry.stage, parameters, entry.description)
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def _parameter(key: str, parameter: Parameter) -> str:
    meaning = "" if key == "p" else f" {parameter.description}"
    return f"`{key}: {_number(parameter.default)}`{meaning} ({parameter.low:g} to {parameter.high:g})"


def _losses() -> list[str]:
    rows = ["| name | activation | what it is |", "|---|---|---|"]
    rows += [f"| `{name}` | {loss.needs or 'any'} | {loss.description} |" for name, loss in LOSSES.items()]
    return rows


def _summary(thing: object) -> str:
    """The first paragraph of a docstring, on one line."""
    text = inspect.cleandoc(thing.__doc__ or "").split("\n\n")[0]
    return " ".join(textwrap.dedent(text).split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(reference_page())
