"""Grid files: YAML in, a complete Recipe out, or one sentence that names the wrong field.

A grid reads like the paper's Table 1: one row per condition. A row lists only what differs from its `base` row, or from
the `defaults`.

    name: tiny
    data: {folds: 2}
    defaults: {network: {kind: resnet, depth: 10, width: 8}, epochs: 4}
    conditions:
      plain: {}
      A: {base: plain, multitask: true, augment: {mixup: {}, gain: {low: 0.9}}}
      B: {base: A, init_from: plain, pseudo: {teacher: A}}

A grid can have a `base` grid that it changes, and `overlays`: named changes, or lists of such names, applied only on
request. `false` removes an inherited part.
"""

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from features.errors import GridError, InputError
from features.plain_yaml import YAMLError, load_plain, shown
from features.settings import DataSettings, EmbeddingSettings, MelSettings, Settings, WaveformSettings
from features.words import nearest, printable, short
from orchestrator.grids.condition import ConditionSettings
from orchestrator.grids.encoders import with_changes, with_encoder
from orchestrator.grids.ensembles import EnsemblePart, EnsembleSettings, PublishedSettings
from orchestrator.grids.recipe import BlendSettings, MixtureSettings, Recipe
from trainers.settings import NETWORKS, SEMI_METHODS, DistillSettings, PredictSettings, PseudoSettings, TrainSettings

__all__ = ["change_recipe", "grid_names", "load_grid", "parse_grid"]

TOP_FIELDS = (
    "name", "data", "features", "defaults", "conditions", "blend", "members", "paper_weights", "ensembles", "published",
    "comparisons",
)  # fmt: skip
ROW_FIELDS = ("base", "features", "predict", "cv", *TrainSettings.model_fields)
MAX_BYTES = 1_000_000
MAX_DEPTH = 100
"""Longest chain of base rows, of overlays that list overlays, and of parts of a --set path."""
MAX_OVERLAYS = 1_000
MOST_NAMES = 12
"""A message lists all possible names if there are no more than these."""
FEATURES: dict[str, type[Settings]] = {
    "mel": MelSettings, "waveform": WaveformSettings, "embedding": EmbeddingSettings
}  # fmt: skip
WAVEFORM_NETWORKS = [
    settings.model_fields["kind"].default for settings in NETWORKS if vars(settings).get("reads") == "waveform"
]
SECTIONS: tuple[type[Settings], ...] = (
    DataSettings, MelSettings, WaveformSettings, EmbeddingSettings, BlendSettings, MixtureSettings, PredictSettings,
    PseudoSettings, DistillSettings, *NETWORKS, TrainSettings, *SEMI_METHODS, EnsemblePart, EnsembleSettings,
    PublishedSettings,
)  # fmt: skip
# Field names of every section, to suggest the nearest one for a misspelt name.
VOCABULARY = sorted({field for part in SECTIONS for field in part.model_fields} | {*TOP_FIELDS, *ROW_FIELDS})


def grid_names() -> list[str]:
    """Names of the grids that ship with sonogrid."""
    folder = resources.files("orchestrator.grids")
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_grid(grid: str, overrides: Sequence[str] = (), overlays: Sequence[str] = ()) -> Recipe:
    """Read a grid by name or from a YAML file.

    Args:
        grid: one of `grid_names()` or the path of a YAML file.
        overlays: names of the grid's own overlays, applied in this order.
        overrides: `path=value` settings such as 'conditions.A.epochs=2'; values are read as YAML.

    Raises:
        GridError: the grid does not exist, is not YAML, or a field is unknown or wrong.
    """
    raw = _with_base(grid)
    known = _mapping(raw.pop("overlays", None), "overlays", short(grid))
    for overlay in overlays:
        for change in _changes(overlay, known, short(grid), []):
            raw = _merge(raw, change)
    for override in overrides:
        _override(raw, override, TOP_FIELDS, "defaults")
    return parse_grid(raw, short(grid))


def _read(grid: str) -> str:
    if grid in grid_names():
        return (resources.files("orchestrator.grids") / f"{grid}.yaml").read_text(encoding="utf-8")
    path, where = Path(grid), short(grid)
    try:
        if not path.is_file():
            names = grid_names()
            near = nearest(grid, names)
            hint = f"did you mean '{near}'?" if near else f"give a YAML file or one of {', '.join(names)}"
            raise GridError(f"there is no grid '{where}': {hint}")
        if path.stat().st_size > MAX_BYTES:
            raise GridError(f"{where} has {path.stat().st_size} bytes; a grid file has at most {MAX_BYTES:,}")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise GridError(f"{where} is not UTF-8 text: save it as UTF-8") from None
    except OSError as error:
        raise GridError(f"{where} can't be read ({error.strerror}): check the file") from None


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        raw = load_plain(text)
    except YAMLError as error:
        words = " ".join(str(error).split()).replace('in "<unicode string>", ', "at ")
        raise GridError(f"{where} is not YAML: {printable(words)[:400]}") from None
    except InputError as error:
        raise GridError(f"{where}, {error}") from None
    if not isinstance(raw, dict):
        raise GridError(f"{where} must hold a mapping with 'name' and 'conditions'")
    return raw


def _with_base(grid: str, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """A grid as written, merged into the grid it is based on."""
    where = short(grid)
    raw = _parse(_read(grid), where)
    base = raw.pop("base", None)
    if base is None:
        return raw
    if base not in grid_names():
        raise GridError(
            f"{where}: base: {shown(base)} is not a grid that ships with sonogrid{_nearest(base, grid_names())}"
        )
    if base in (*above, grid):
        raise GridError(f"{where}: base leads back to {base}")
    return _merge(_with_base(base, (*above, grid)), raw)


def _changes(
    name: Any, known: Mapping[str, Any], where: str, listed: list[str], above: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    """The changes of an overlay, or of all overlays that it lists; their names are appended to `listed`."""
    if not isinstance(name, str) or name not in known:
        raise GridError(f"{where}: there is no overlay {shown(name)}{_nearest(name, list(known))}")
    overlay = known[name]
    if isinstance(overlay, dict):
        listed.append(name)
        if len(listed) > MAX_OVERLAYS:
            raise GridError(
                f"{where}: overlays.{(*above, name)[0]} lists more than {MAX_OVERLAYS} overlays; shorten it"
            )
        return [overlay]
    if not isinstance(overlay, list) or name in above or len(above) > MAX_DEPTH:
        raise GridError(f"{where}: overlays.{name} must be changes to the grid or a list of other overlays")
    return [change for part in overlay for change in _changes(part, known, where, listed, (*above, name))]


def _override(raw: dict[str, Any], override: str, fields: Sequence[str], rows: str) -> None:
    """Apply a --set to a grid with these fields; `rows` is where a setting of all conditions belongs."""
    option = f"--set {short(override)}"
    path, equals, text = override.partition("=")
    *parents, last = path.split(".")
    if not equals or not all((*parents, last)) or len(parents) > MAX_DEPTH:
        raise GridError(f"{option}: write path=value, for instance conditions.A.epochs=2")
    try:
        value = load_plain(text)
    except YAMLError:
        raise GridError(f"{option}: {shown(text)} is not a YAML value") from None
    except InputError as error:
        raise GridError(f"{option}: {error}") from None
    if (first := path.split(".")[0]) not in fields:
        hint = f"; did you mean '{short(f'{rows}.{override}')}'?" if first in ROW_FIELDS else _nearest(first, fields)
        raise GridError(f"{option}: {shown(first)} is not a field of a grid{hint}")
    place = raw
    for depth, name in enumerate(parents):
        if depth == 1 and parents[0] == "conditions" and name not in place:
            raise GridError(f"{option}: there is no condition {shown(name)}{_nearest(name, list(place))}")
        inner = place.get(name)
        place[name] = place = inner if isinstance(inner, dict) else {}
    place[last] = value


def change_recipe(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """Change some settings of a resolved Recipe, by the same paths as in a grid file.

    Raises:
        GridError: a field is unknown or wrong.
    """
    raw = recipe.model_dump(mode="json")
    for override in overrides:
        parts = override.partition("=")[0].split(".")
        # A row of a grid file is flat; in a Recipe the training settings are a section of their own.
        if len(parts) > 2 and parts[0] == "conditions" and parts[2] in TrainSettings.model_fields:
            override = f"conditions.{parts[1]}.train.{override.split('.', 2)[2]}"  # noqa: PLW2901
        _override(raw, override, list(raw), "conditions.NAME")
    for name, condition in recipe.conditions.items():
        changed = raw["conditions"][name]
        if isinstance(condition.features, EmbeddingSettings) and isinstance(changed.get("features"), dict):
            changed["features"] = with_changes(
                condition.features, changed["features"], f"--set: conditions.{name}.features"
            )
    try:
        return Recipe.model_validate_json(json.dumps(raw))
    except ValidationError as error:
        raise GridError(f"--set: {_sentence(error, raw)}") from None


def parse_grid(raw: Mapping[str, Any], where: str) -> Recipe:
    """Resolve rows against their bases and validate everything.

    Raises:
        GridError: a field is unknown or wrong; the message names it, its value and the nearest valid name.
    """
    for field in raw:
        if field not in TOP_FIELDS:
            raise GridError(f"{where}: {shown(field)} is not a field of a grid{_nearest(field, TOP_FIELDS)}")
    rows, defaults, features = (
        _mapping(raw.get(field), field, where) for field in ("conditions", "defaults", "features")
    )
    for kind in features:
        if kind not in FEATURES:
            raise GridError(f"{where}: features.{kind} is not a kind of features{_nearest(kind, list(FEATURES))}")
    resolved: dict[str, Any] = {
        key: raw[key] for key in TOP_FIELDS if key in raw and key not in ("features", "defaults")
    }
    for part in ("data", "blend"):
        resolved[part] = _mapping(raw.get(part), part, where)
    resolved["conditions"] = {
        name: _condition(name, _row(name, rows, defaults, where), features, where) for name in rows
    }
    try:
        return Recipe.model_validate(resolved)
    except ValidationError as error:
        raise GridError(f"{where}: {_sentence(error, resolved)}") from None


def _row(
    name: str, rows: dict[str, Any], defaults: dict[str, Any], where: str, below: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A row with everything it inherits."""
    row = _mapping(rows[name], f"conditions.{short(str(name))}", where)
    for field in (*row, *defaults):
        if field not in ROW_FIELDS:
            place = f"conditions.{name}.{field}" if field in row else f"defaults.{field}"
            place = short(place)
            raise GridError(f"{where}: {place} is not a field of a condition{_nearest(field, ROW_FIELDS)}")
    base = row.get("base")
    if base is None:
        inherited = defaults
    elif not isinstance(base, str) or base not in rows:
        raise GridError(
            f"{where}: conditions.{name}.base: {shown(base)} is not a condition{_nearest(base, list(rows))}"
        )
    elif base in (*below, name):
        raise GridError(f"{where}: conditions.{name}.base leads back to itself")
    elif len(below) > MAX_DEPTH:
        raise GridError(f"{where}: conditions.{name}.base is the end of more than {MAX_DEPTH} bases; use fewer")
    else:
        inherited = _row(base, rows, defaults, where, (*below, name))
        # That a fold of its base has diverged says nothing about this condition.
        inherited = {**inherited, "rescue": defaults.get("rescue", {})}
    return _merge(inherited, {key: value for key, value in row.items() if key != "base"})


def _merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Deep merge. `false` removes a part; a part of another `kind` or `method` replaces it, as the fields differ."""
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
    train = {key: value for key, value in row.items() if key not in ("features", "predict", "cv")}
    if train.get("augment") is None:
        train.pop("augment", None)
    elif isinstance(train["augment"], dict):
        # `mixup:` and `mixup: true` select the defaults, `mixup: false` removes an inherited one.
        train["augment"] = {
            key: {} if value is None or value is True else value
            for key, value in train["augment"].items()
            if value is not False
        }
    network = train.get("network")
    kind, reads = (network.get(field) if isinstance(network, dict) else None for field in ("kind", "reads"))
    own = _mapping(row.get("features"), f"conditions.{name}.features", where)
    feature_kind = "embedding" if reads == "embedding" else "waveform" if kind in WAVEFORM_NETWORKS else "mel"
    chosen = _merge(_mapping(features.get(feature_kind), f"features.{feature_kind}", where), own)
    if feature_kind == "embedding":
        chosen = with_encoder(chosen, f"{where}: conditions.{name}.features" if own else f"{where}: features.embedding")
    predict = _mapping(row.get("predict"), f"conditions.{name}.predict", where)
    own_score = {"cv": row["cv"]} if "cv" in row else {}
    return {"features": {"kind": feature_kind, **chosen}, "train": train, "predict": predict, **own_score}


def _mapping(value: Any, field: str, where: str) -> dict[str, Any]:
    """A section of a grid; an empty one is an empty mapping."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise GridError(f"{where}: {field} must be a mapping, not {shown(value)}")
    return value


def _sentence(error: ValidationError, data: Any) -> str:
    """The first problem of a pydantic error, as one sentence with the field names of a grid file."""
    first = error.errors(include_url=False)[0]
    path: list[str] = []
    place = data
    for part in first["loc"]:
        if isinstance(place, dict) and part in place:
            place = place[part]
        elif first["type"] not in ("missing", "extra_forbidden") or part is not first["loc"][-1]:
            continue  # the tag of a union, not a field
        path.append(str(part))
    # A row is flat in a grid file: `train` is not part of the name.
    field = short(".".join(part for i, part in enumerate(path) if not (i == 2 and part == "train")))
    if first["type"] in ("missing", "too_short"):
        return f"{field} is {'missing' if first['type'] == 'missing' else 'empty: give at least 1'}"
    if first["type"] in ("union_tag_not_found", "union_tag_invalid"):
        tag = first["ctx"]["discriminator"].strip("'")
        if first["type"] == "union_tag_not_found":
            return f"{field} is {shown(first['input'])}: it needs a {tag}"
        return f"{field}.{tag} is {shown(first['input'][tag])}: choose one of {first['ctx']['expected_tags']}"
    if first["type"] == "extra_forbidden":
        hint = "; it belongs to another section" if path[-1] in VOCABULARY else _nearest(path[-1], VOCABULARY)
        return f"{field} is not a field here{hint}"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return printable(f"{field}: {message}" if field else message)[:600]
    return f"{field} is {shown(first['input'])}: {short(message[0].lower() + message[1:], 300)}"


def _nearest(name: Any, names: Sequence[str]) -> str:
    if near := nearest(str(name), names):
        return f"; did you mean '{short(near)}'?"
    return f"; choose one of {', '.join(map(short, names))}" if 0 < len(names) <= MOST_NAMES else ""


def settings_of(condition: ConditionSettings) -> dict[str, Any]:
    """A condition's settings as one flat mapping 'train.crop' -> 512, for tables and trackers."""
    return dict(_flatten(condition.model_dump(mode="json")))


def _flatten(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for key, inner in value.items():
        flat += _flatten(inner, f"{prefix}{key}.") if isinstance(inner, Mapping) and inner else [(prefix + key, inner)]
    return flat
