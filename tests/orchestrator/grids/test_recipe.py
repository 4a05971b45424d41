from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.grids.recipe import Recipe

ROW: dict[str, Any] = {"features": {"kind": "mel"}, "train": {}, "predict": {}}


def recipe(conditions: dict[str, dict[str, Any]], **more: Any) -> Recipe:
    rows = {name: {**ROW, "train": train} for name, train in conditions.items()}
    return Recipe.model_validate({"name": "t", "data": {"folds": 3}, "conditions": rows, "blend": {}, **more})


def test_blended_conditions_are_all_or_the_members_in_grid_order() -> None:
    rows: dict[str, dict[str, Any]] = {"A": {}, "B": {}, "C": {}}
    assert recipe(rows).blended == ("A", "B", "C")
    assert recipe(rows, members=["C", "A"]).blended == ("A", "C")


@pytest.mark.parametrize(
    ("conditions", "more", "sentence"),
    [
        ({"a b": {}}, {}, "'a b' has to name folders too"),
        ({"A": {"init_from": "Z"}}, {}, "conditions.A.init_from: 'Z' is not a condition; there are A"),
        ({"A": {"init_from": "B"}, "B": {"init_from": "A"}}, {}, "depend on each other in a circle: A <- B <- A"),
        ({"A": {"pseudo": {"teacher": "A"}}}, {}, "depend on each other in a circle: A <- A"),
        ({"A": {}, "B": {"distill": {"teachers": ["A", "B"]}}}, {}, "depend on each other in a circle: A?B? ?<"),
        ({"A": {}, "B": {"distill": {"teachers": ["A", "C"]}}}, {}, r"conditions.B.distill.teachers.1: 'C' is not a"),
        (
            {"A": {}, "B": {"init_from": "A", "network": {"kind": "resnet", "width": 8}}}, {},
            "conditions.B.init_from: 'A' has another network; equal networks are needed",
        ),
        ({"A": {}}, {"members": ["Z"]}, "members: 'Z' is not a condition"),
        ({"A": {}}, {"paper_weights": {"A": 0}}, "no blended condition has a weight above 0"),
        ({"A": {}}, {"blend": {"budget": 2}}, "blend.budget is 2: a member needs 3 predictions"),
        ({"A": {"rescue": {"3": {"after": 1, "lr_factor": 0.1}}}}, {}, "A.rescue: no fold '3'; there are 0 to 2"),
        ({"A": {"rescue": {"1-0": {"after": 1, "lr_factor": 0.1}}}}, {}, "A.rescue.1-0 is no pair of folds: .*'0-1'"),
        ({"A": {"rescue": {"1-1": {"after": 1, "lr_factor": 0.1}}}}, {}, "A.rescue.1-1 is no pair of folds"),
        ({"A": {"rescue": {"0-1": {"after": 1, "lr_factor": 0.1}}}}, {}, "A.rescue.0-1 never applies: no training"),
        (
            {"A": {"cycles": 1, "epochs": 2, "rescue": {"0": {"after": 500, "lr_factor": 0.1}}}}, {},
            "A.rescue.0.after is 500, but there are 2 epochs: lower it",
        ),
        ({}, {}, "conditions"),
    ],
)  # fmt: skip
def test_references_that_lead_nowhere_are_refused(
    conditions: dict[str, dict[str, Any]], more: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValidationError, match=sentence):
        recipe(conditions, **more)


def test_a_pair_is_rescued_where_two_folds_are_held_out() -> None:
    """Of teachers of crossed labels, and of the conditions that these start from."""
    pair = {"rescue": {"0-1": {"after": 1, "lr_factor": 0.1}}}
    rows: dict[str, dict[str, Any]] = {
        "plain": pair, "A": {**pair, "init_from": "plain"}, "B": {"pseudo": {"teacher": "A", "folds": "crossed"}},
    }  # fmt: skip
    assert recipe(rows)
    with pytest.raises(ValidationError, match=r"B\.rescue\.0-1 never applies"):
        recipe({**rows, "B": {**rows["B"], **pair}})


def test_networks_that_differ_in_the_activation_alone_may_start_from_each_other() -> None:
    softmax = {"kind": "resnet", "activation": "softmax"}
    assert recipe({"A": {"network": softmax, "loss": "kl"}, "B": {"init_from": "A"}})


def test_crossed_labels_need_three_folds_and_a_teacher_without_labels() -> None:
    rows: dict[str, dict[str, Any]] = {"A": {}, "B": {"pseudo": {"teacher": "A", "folds": "crossed"}}}
    assert recipe(rows)
    with pytest.raises(ValidationError, match=r"holds out two folds and needs at least 3, but data\.folds is 2"):
        recipe(rows, data={"folds": 2})
    with pytest.raises(ValidationError, match="needs a teacher without pseudo labels of its own, and 'B' has them"):
        recipe({**rows, "C": {"pseudo": {"teacher": "B", "folds": "crossed"}}})
