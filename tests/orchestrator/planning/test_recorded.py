from dataclasses import replace

import pytest

from orchestrator.planning.graph import build_graph
from orchestrator.planning.recorded import recorded_graph
from orchestrator.report.build import build_report
from orchestrator.run.bound import Run
from orchestrator.run.record import read_run_json
from orchestrator.run.selection import Selection, plan_of
from orchestrator.store import node


def test_a_recorded_graph_is_the_one_that_was_launched(inline_run: Run) -> None:
    raw = read_run_json(inline_run.folder)
    assert raw is not None
    recorded = recorded_graph(inline_run.recipe, raw["nodes"])
    built = build_graph(inline_run.recipe, inline_run.manifest)
    assert recorded is not None
    assert (recorded.train, recorded.predict, recorded.blend) == (built.train, built.predict, built.blend)
    for signature, each in built.nodes.items():
        found = recorded.nodes[signature]
        assert (found.name, found.kind, found.inputs) == (each.name, each.kind, each.inputs)
        if each.kind in ("train", "predict"):
            assert (found.condition, found.held_out) == (each.condition, each.held_out)


def test_conditions_whose_jobs_have_other_names_are_not_guessed(inline_run: Run) -> None:
    raw = read_run_json(inline_run.folder)
    assert raw is not None
    assert recorded_graph(inline_run.recipe, {n: r for n, r in raw["nodes"].items() if n != "train-A-0"}) is None


def test_the_report_of_a_run_of_an_older_version_is_as_it_was(inline_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = build_report(inline_run).as_dict()
    monkeypatch.setitem(node.STAGE_VERSIONS, "train", node.STAGE_VERSIONS["train"] + 1)
    assert build_report(Run.open(inline_run.folder)).as_dict() == before
    # A launch compares with what this version would compute.
    launched = replace(Run.open(inline_run.folder), recorded=None)
    assert {planned.action for planned in plan_of(launched, Selection()).nodes if planned.node.kind == "train"} == {
        "changed"
    }
