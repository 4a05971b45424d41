"""Grid files: YAML in, a complete Recipe out, or one sentence that names the wrong field.

A grid reads like the paper's Table 1: a row a condition, each row what it changes against its `base` row and the
`defaults`.

    name: tiny
    data: {folds: 2}
    defaults: {network: {kind: resnet, depth: 10, width: 8}, epochs: 4}
    conditions:
      plain: {}
      A: {base: plain, multitask: true, augment: {mixup: {}, gain: {low: 0.9}}}
      B: {base: A, init_from: plain, pseudo: {teacher: A}}

A grid can have a `base` grid that it changes, and `overlays`: named changes, or lists of such names, that are put on
top of it when asked for. `false` drops an inherited part.
"""

import difflib
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from features.errors import GridError
from features.settings import DataSettings, MelSettings, Settings, WaveformSettings
from orchestrator.blend import BlendSettings
from orchestrator.ensembles import EnsemblePart, EnsembleSettings, PublishedSettings
from orchestrator.recipe import ConditionSettings, Recipe
from trainers.settings import (
    EnvNetSettings,
    MeanTeacherSettings,
    MixMatchSettings,
    PredictSettings,
    PseudoLabelSettings,
    PseudoSettings,
    ResNetSettings,
    SEResNeXtSettings,
    TrainSettings,
)

__all__ = ["change_recipe", "grid_names", "load_grid", "parse_grid"]

TOP_FIELDS = (
    "name", "data", "features", "defaults", "conditions", "blend", "members", "paper_weights", "ensembles", "published",
    "comparisons",
)  # fmt: skip
ROW_FIELDS = ("base", "features", "predict", *TrainSettings.model_fields)
FEATURES: dict[str, type[Settings]] = {"mel": MelSettings, "waveform": WaveformSettings}
# Field names of every part, to suggest the nearest one for a misspelt name.
VOCABULARY = sorted(
    {
        field
        for part in (
            DataSettings, MelSettings, WaveformSettings, BlendSettings, PredictSettings, PseudoSettings,
            ResNetSettings, SEResNeXtSettings, EnvNetSettings, TrainSettings, PseudoLabelSettings, MeanTeacherSettings,
            MixMatchSettings, EnsemblePart, EnsembleSettings, PublishedSettings,
        )
        for field in part.model_fields
    }
    | {*TOP_FIELDS, *ROW_FIELDS}
)  # fmt: skip


class _Loader(yaml.SafeLoader):
    """Safe YAML without aliases (no bombs), without repeated keys, and with 1e-3 a number."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            raise GridError(
                f"line {event.start_mark.line + 1}: aliases (*name) are not allowed; use 'base' or 'defaults'"
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if not isinstance(key, str):
                raise GridError(f"line {node.start_mark.line + 1}: {key!r} is not a name; quote it")
            if keys.count(key) > 1:
                raise GridError(f"line {node.start_mark.line + 1}: '{key}' is given twice")
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    __import__("re").compile(r"^[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def grid_names() -> list[str]:
    """Names of the grids that ship with sonogrid."""
    folder = resources.files("orchestrator") / "grids"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_grid(grid: str, overrides: Sequence[str] = (), overlays: Sequence[str] = ()) -> Recipe:
    """Read a grid by name or from a YAML file.

    Args:
        grid: one of `grid_names()` or the path of a YAML file.
        overlays: names of the grid's own overlays, put on top of it in this order.
        overrides: `path=value` settings such as 'conditions.A.epochs=2'; values are read as YAML.

    Raises:
        GridError: the grid does not exist, is not YAML, or a field is unknown or wrong.
    """
    raw = _with_base(grid)
    known = raw.pop("overlays", None) or {}
    for overlay in overlays:
        raw = _overlaid(raw, overlay, known, grid)
    for override in overrides:
        _override(raw, override)
    return parse_grid(raw, grid)


def _read(grid: str) -> str:
    if grid in grid_names():
        return (resources.files("orchestrator") / "grids" / f"{grid}.yaml").read_text(encoding="utf-8")
    path = Path(grid)
    if not path.is_file():
        names = grid_names()
        near = difflib.get_close_matches(grid, names, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"give a YAML file or one of {', '.join(names)}"
        raise GridError(f"there is no grid '{grid}': {hint}")
    if path.stat().st_size > 1_000_000:
        raise GridError(f"{grid} has {path.stat().st_size} bytes; a grid file has at most 1,000,000")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise GridError(f"{grid} can't be read: {error}") from None


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        raw = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise GridError(f"{where} is not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise GridError(f"{where} is nested too deeply for a grid") from None
    except GridError as error:
        raise GridError(f"{where}, {error}") from None
    if not isinstance(raw, dict):
        raise GridError(f"{where} must hold a mapping with 'name' and 'conditions'")
    return raw


def _with_base(grid: str, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """A grid as written, on top of the grid it is based on."""
    raw = _parse(_read(grid), grid)
    base = raw.pop("base", None)
    if base is None:
        return raw
    if base not in grid_names():
        raise GridError(
            f"{grid}: base: {base!r} is not a grid that ships with sonogrid{_nearest(str(base), grid_names())}"
        )
    if base in (*above, grid):
        raise GridError(f"{grid}: base leads back to {base}")
    return _merge(_with_base(base, (*above, grid)), raw)


def _overlaid(raw: dict[str, Any], name: str, known: Any, where: str, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """The grid with an overlay's changes, or those of all the overlays that it lists."""
    if not isinstance(known, dict) or name not in known:
        names = [str(key) for key in known] if isinstance(known, dict) else []
        raise GridError(f"{where}: there is no overlay '{name}'{_nearest(name, names)}")
    overlay = known[name]
    if isinstance(overlay, dict):
        return _merge(raw, overlay)
    if not isinstance(overlay, list) or name in above:
        raise GridError(f"{where}: overlays.{name} must be changes to the grid or a list of other overlays")
    for part in overlay:
        raw = _overlaid(raw, str(part), known, where, (*above, name))
    return raw


def _override(raw: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise GridError(f"--set {override}: write path=value, for instance conditions.A.epochs=2")
    try:
        value = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError:
        raise GridError(f"--set {override}: '{text}' is not a YAML value") from None
    *parents, last = path.split(".")
    place = raw
    for depth, name in enumerate(parents):
        if depth == 1 and parents[0] == "conditions" and name not in place:
            raise GridError(f"--set {override}: there is no condition '{name}'{_nearest(name, list(place))}")
        inner = place.get(name)
        place[name] = place = inner if isinstance(inner, dict) else {}
    place[last] = value


def change_recipe(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """A resolved Recipe with some settings changed, by the same paths as in a grid file.

    Raises:
        GridError: a field is unknown or wrong.
    """
    raw = recipe.model_dump(mode="json")
    for override in overrides:
        parts = override.partition("=")[0].split(".")
        # In a grid file a row is flat; resolved, its training settings have a place of their own.
        if len(parts) > 2 and parts[0] == "conditions" and parts[2] in TrainSettings.model_fields:
            override = f"conditions.{parts[1]}.train.{override.split('.', 2)[2]}"  # noqa: PLW2901
        _override(raw, override)
    try:
        return Recipe.model_validate_json(json.dumps(raw))
    except ValidationError as error:
        raise GridError(f"--set: {_sentence(error, raw)}") from None


def parse_grid(raw: Mapping[str, Any], where: str) -> Recipe:
    """Resolve rows against their bases and validate everything.

    Raises:
        GridError: a field is unknown or wrong; the sentence names it, its value and the nearest valid name.
    """
    for field in raw:
        if field not in TOP_FIELDS:
            raise GridError(f"{where}: '{field}' is not a field of a grid{_nearest(field, TOP_FIELDS)}")
    for field in ("features", "defaults", "conditions"):
        if not isinstance(raw.get(field) or {}, dict):
            raise GridError(f"{where}: {field} must be a mapping, not {raw[field]!r}")
    rows = raw.get("conditions") or {}
    resolved: dict[str, Any] = {
        key: raw[key] for key in TOP_FIELDS if key in raw and key not in ("features", "defaults")
    }
    resolved["data"] = raw.get("data") or {}
    resolved["blend"] = raw.get("blend") or {}
    resolved["conditions"] = {
        name: _condition(name, _row(name, rows, raw.get("defaults") or {}, where), raw.get("features") or {}, where)
        for name in rows
    }
    try:
        return Recipe.model_validate(resolved)
    except ValidationError as error:
        raise GridError(f"{where}: {_sentence(error, resolved)}") from None


def _row(
    name: str, rows: dict[str, Any], defaults: dict[str, Any], where: str, below: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A row with everything it inherits."""
    row = rows[name] if rows[name] is not None else {}
    if not isinstance(row, dict):
        raise GridError(f"{where}: conditions.{name} must be a mapping, not {row!r}")
    for field in (*row, *defaults):
        if field not in ROW_FIELDS:
            place = f"conditions.{name}.{field}" if field in row else f"defaults.{field}"
            raise GridError(f"{where}: {place} is not a field of a condition{_nearest(field, ROW_FIELDS)}")
    base = row.get("base")
    if base is None:
        inherited = defaults
    elif not isinstance(base, str) or base not in rows:
        raise GridError(
            f"{where}: conditions.{name}.base: {base!r} is not a condition{_nearest(str(base), list(rows))}"
        )
    elif base in (*below, name):
        raise GridError(f"{where}: conditions.{name}.base leads back to itself")
    else:
        inherited = _row(base, rows, defaults, where, (*below, name))
    return _merge(inherited, {key: value for key, value in row.items() if key != "base"})


def _merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Deep merge; a part of another `kind` or `method` replaces its base, since the fields differ; `false` drops it."""
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        if value is False and key in merged and not isinstance(old, bool):
            del merged[key]
        elif isinstance(old, dict) and isinstance(value, dict):
            same_kind = all(value.get(tag, old.get(tag)) == old.get(tag) for tag in ("kind", "method"))
            merged[key] = _merge(old, value) if same_kind else value
        else:
            merged[key] = value
    return merged


def _condition(name: str, row: dict[str, Any], features: dict[str, Any], where: str) -> dict[str, Any]:
    """Split a merged row into the parts of `ConditionSettings`."""
    for kind in features:
        if kind not in FEATURES:
            raise GridError(f"{where}: features.{kind} is not a kind of features{_nearest(kind, list(FEATURES))}")
    train = {key: value for key, value in row.items() if key not in ("features", "predict")}
    if train.get("augment") is None:
        train.pop("augment", None)
    elif isinstance(train["augment"], dict):
        # `mixup:` and `mixup: true` mean its defaults, `mixup: false` drops an inherited one.
        train["augment"] = {
            key: {} if value is None or value is True else value
            for key, value in train["augment"].items()
            if value is not False
        }
    network = train.get("network")
    is_envnet = isinstance(network, dict) and network.get("kind") == "envnet"
    own = row.get("features") or {}
    if not isinstance(own, dict):
        raise GridError(f"{where}: conditions.{name}.features must be a mapping, not {own!r}")
    feature_kind = "waveform" if is_envnet else "mel"
    chosen = _merge(features.get(feature_kind) or {}, own)
    return {"features": {"kind": feature_kind, **chosen}, "train": train, "predict": row.get("predict") or {}}


def _sentence(error: ValidationError, data: Any) -> str:
    """The first problem of a pydantic error, as one sentence in the user's own field names."""
    first = error.errors(include_url=False)[0]
    path: list[str] = []
    place = data
    for part in first["loc"]:
        if isinstance(place, dict) and part in place:
            place = place[part]
        elif first["type"] not in ("missing", "extra_forbidden") or part is not first["loc"][-1]:
            continue  # the tag of a union, not a field
        path.append(str(part))
    # A row is written flat; `train` is ours.
    field = ".".join(part for i, part in enumerate(path) if not (i == 2 and part == "train"))
    if first["type"] == "missing":
        return f"{field} is missing"
    if first["type"] == "extra_forbidden":
        return f"{field} is not a field here{_nearest(path[-1], VOCABULARY)}"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return f"{field}: {message}" if field else message
    return f"{field} is {first['input']!r}: {message[0].lower()}{message[1:]}"


def _nearest(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; there are {', '.join(names)}" if len(names) <= 12 else ""


def settings_of(condition: ConditionSettings) -> dict[str, Any]:
    """A condition's settings as one flat mapping 'train.crop' -> 512, for tables and trackers."""
    return dict(_flatten(condition.model_dump(mode="json")))


def _flatten(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for key, inner in value.items():
        flat += _flatten(inner, f"{prefix}{key}.") if isinstance(inner, Mapping) and inner else [(prefix + key, inner)]
    return flat
