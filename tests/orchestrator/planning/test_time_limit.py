from dataclasses import replace
from pathlib import Path

import pytest

from features.assumed import assumed_manifest
from orchestrator.grids.load import load_grid
from orchestrator.grids.shorten import shortened
from orchestrator.planning.graph import build_graph
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.planning.time_limit import AIM, Machine, Speed, choose, predicted_s
from orchestrator.store.local import LocalNodeStore

RECIPE = load_grid("small")
MANIFEST = assumed_manifest(RECIPE.data)
SPEEDS = {name: Speed(step_s=0.01, clip_s=0.001) for name in RECIPE.conditions}
ONE = Machine(slots=1, start_s=20, job_s=10, features_s=60)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(build_graph(RECIPE, MANIFEST), LocalNodeStore(Path("/nowhere")))


def whole_s(plan: Plan, machine: Machine = ONE) -> float:
    return predicted_s(plan, RECIPE, MANIFEST, SPEEDS, machine, tuple(RECIPE.conditions), 1.0)


def test_a_training_takes_its_steps_and_validations(plan: Plan) -> None:
    linear = predicted_s(plan, RECIPE, MANIFEST, SPEEDS, ONE, ["linear"], 1.0)
    clips = len(MANIFEST.subset("curated"))
    test = len(MANIFEST.subset("test"))
    steps = -(-(clips * 4 // 5) // 16)
    trainings = 5 * (10 + 60 * (steps * 0.01)) + 60 * clips * 0.001
    predictions = 5 * 1.0 + (clips + 5 * test) * 0.001
    assert linear == pytest.approx(20 + 60 + trainings + predictions + 0.05 * clips, rel=1e-3)


def test_more_slots_take_less_time(plan: Plan) -> None:
    two = whole_s(plan, replace(ONE, slots=2))
    assert whole_s(plan) / 2 < two < whole_s(plan) * 0.6


def test_a_long_limit_changes_nothing(plan: Plan) -> None:
    choice = choose(plan, RECIPE, MANIFEST, SPEEDS, ONE, 10 * whole_s(plan))
    assert choice is not None
    assert (choice.conditions, choice.share) == (tuple(RECIPE.conditions), 1.0)
    assert choice.predicted_s == whole_s(plan)


@pytest.mark.parametrize("part", [0.9, 0.6, 0.35, 0.2, 0.1])
def test_the_choice_fits_and_uses_the_limit(plan: Plan, part: float) -> None:
    limit_s = part * whole_s(plan)
    choice = choose(plan, RECIPE, MANIFEST, SPEEDS, ONE, limit_s)
    assert choice is not None
    assert choice.predicted_s <= AIM * limit_s
    assert choice.predicted_s > 0.7 * AIM * limit_s or len(choice.conditions) < len(RECIPE.conditions)
    assert len(choice.conditions) == len(RECIPE.conditions) or part < 0.6
    assert "linear" in choice.conditions
    shortened(RECIPE, choice.conditions, choice.share)


def test_nothing_fits_into_a_second(plan: Plan) -> None:
    assert choose(plan, RECIPE, MANIFEST, SPEEDS, ONE, 1.0) is None


def test_what_is_done_takes_no_time(plan: Plan) -> None:
    done = Plan(plan.graph, tuple(replace(planned, action="cached") for planned in plan.nodes))
    assert whole_s(done) == pytest.approx(20 + 60 + 0.05 * len(MANIFEST.subset("curated")))
