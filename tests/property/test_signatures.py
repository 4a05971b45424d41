"""Laws of signatures: they depend on all of the work and on nothing else."""

import copy
from typing import Any, get_args

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orchestrator.grids.load import parse_grid
from orchestrator.planning.graph import build_graph
from orchestrator.store.node import Kind, signature_of
from tests.fixtures.manifests import manifest_of

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
PAYLOADS = st.dictionaries(
    st.text(),
    st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8),
    min_size=1,
    max_size=5,
)
SIGNATURES = st.text("0123456789abcdef", min_size=64, max_size=64)
INPUTS = st.dictionaries(st.text(min_size=1), st.lists(SIGNATURES, min_size=1, max_size=4).map(tuple), max_size=4)
KINDS = st.sampled_from(get_args(Kind))


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reordered(inner) for key, inner in reversed(value.items())}
    return [reordered(inner) for inner in value] if isinstance(value, list) else value


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values that are neither a mapping nor a list."""
    if isinstance(value, dict | list):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for key, inner in entries for leaf in leaves(inner, (*path, key))]
    return [path]


@given(KINDS, PAYLOADS, INPUTS)
def test_the_order_of_keys_does_not_matter(kind: Kind, payload: dict[str, Any], inputs: dict[str, Any]) -> None:
    signature = signature_of(kind, payload, inputs)
    assert signature_of(kind, reordered(payload), dict(reversed(inputs.items()))) == signature


@given(KINDS, PAYLOADS, INPUTS, st.data())
def test_every_field_of_the_payload_matters(
    kind: Kind, payload: dict[str, Any], inputs: dict[str, Any], data: st.DataObject
) -> None:
    places = leaves(payload)
    assume(places)
    *parents, last = data.draw(st.sampled_from(places))
    changed = copy.deepcopy(payload)
    place: Any = changed
    for key in parents:
        place = place[key]
    value = data.draw(SCALARS)
    assume(repr(value) != repr(place[last]))
    place[last] = value
    signature = signature_of(kind, payload, inputs)
    assert signature_of(kind, changed, inputs) != signature
    del place[last]
    assert signature_of(kind, changed, inputs) != signature


@given(KINDS, KINDS, PAYLOADS, INPUTS, st.data())
def test_kind_and_inputs_matter_and_so_does_the_order_of_inputs(
    kind: Kind, other: Kind, payload: dict[str, Any], inputs: dict[str, Any], data: st.DataObject
) -> None:
    signature = signature_of(kind, payload, inputs)
    assert (signature_of(other, payload, inputs) == signature) == (kind == other)
    assume(inputs)
    role = data.draw(st.sampled_from(sorted(inputs)))
    group = data.draw(
        st.lists(SIGNATURES, min_size=1, max_size=4).map(tuple) | st.permutations(inputs[role]).map(tuple)
    )
    assert (signature_of(kind, payload, {**inputs, role: group}) == signature) == (group == inputs[role])
    assert signature_of(kind, payload, {key: inputs[key] for key in inputs if key != role}) != signature


ROWS: dict[str, Any] = {
    "plain": {"network": {"kind": "resnet", "depth": 10, "width": 8}, "crop": 16, "epochs": 2, "lr_max": 0.001},
    "A": {"base": "plain", "multitask": True, "augment": {"mixup": {}, "gain": {"low": 0.9, "high": 1.1}}},
    "B": {"base": "A", "init_from": "plain", "pseudo": {"teacher": "A", "weight": 3.0}},
    "D": {"network": {"kind": "envnet", "width": 4}, "crop": 30_000, "predict": {"pads": [0]}},
}


def signatures(rows: dict[str, Any], folds: list[int], root: str = "") -> set[str]:
    raw = {"name": "t", "data": {"folds": 2}, "conditions": rows, "blend": {"trials": 3}}
    return set(build_graph(parse_grid(raw, "test"), manifest_of(folds, root=root)).nodes)


@settings(max_examples=10)  # each plans two grids
@given(st.permutations(list(ROWS)), st.text(st.characters(codec="ascii"), max_size=20), st.booleans())
def test_a_grid_written_in_another_order_and_data_in_another_place_are_the_same_work(
    order: list[str], root: str, turn: bool
) -> None:
    rows = {name: reordered(ROWS[name]) if turn else ROWS[name] for name in order}
    folds = [0, 1, 0, 1, 1]
    assert signatures(rows, folds, root) == signatures(ROWS, folds)


@settings(max_examples=10)
@given(st.lists(st.integers(0, 1), min_size=5, max_size=5))
def test_other_folds_are_other_trainings(folds: list[int]) -> None:
    usual = [0, 1, 0, 1, 1]
    assume(len(set(folds)) == 2)
    assert (signatures(ROWS, folds) == signatures(ROWS, usual)) == (folds == usual)
