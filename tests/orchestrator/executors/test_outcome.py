from pathlib import Path

import pytest

from orchestrator.executors.outcome import outcome_of
from orchestrator.grids.load import load_grid
from orchestrator.run.bound import Run
from orchestrator.run.selection import prepare
from orchestrator.store.marks import DoneMark, Failure, SignOfLife
from orchestrator.store.node import Node


@pytest.fixture
def run(small_data: Path, tiny_grid: Path, tmp_path: Path) -> Run:
    return prepare(load_grid(str(tiny_grid)), small_data, tmp_path / "run")


@pytest.fixture
def node(run: Run) -> Node:
    """A node with an attempt whose last checkpoint was at step 20."""
    node = run.graph.nodes[run.graph.predict["plain", 0]]
    run.store.beat(run.store.name(node), run.store.claim(node, run.identity).attempt, SignOfLife(saved=20))
    return node


def test_an_attempt_without_a_mark_was_stopped_or_lost(run: Run, node: Node) -> None:
    assert outcome_of(run, node, asked=True).outcome == "stopped"
    assert outcome_of(run, node, asked=False).outcome == "lost", "what it computed was made void meanwhile"
    lost = outcome_of(run, node, "the worker died", asked=False)
    assert (lost.outcome, lost.cause, lost.reached) == ("lost", "the worker died", 20)
    assert outcome_of(run, node, "OutOfMemoryError: killed", asked=False).outcome == "memory"


def test_a_done_mark_counts_more_than_an_error(run: Run, node: Node) -> None:
    claim = run.store.latest_claim(run.store.name(node))
    assert claim is not None
    run.store.finish(run.store.name(node), claim, DoneMark(node.name, node.signature, host="here"), [])
    assert outcome_of(run, node, "the worker died", asked=False).outcome == "done"


def test_a_failure_has_its_class(run: Run, node: Node) -> None:
    name = f"{run.store.name(node)}/attempt-1"
    run.store.write_mark(name, Failure("error", "it broke"))
    assert (outcome_of(run, node, "x", asked=False).outcome, outcome_of(run, node, "x", asked=False).cause) == (
        "failed",
        "it broke",
    )
    run.store.write_mark(name, Failure("memory", "too large"))
    assert outcome_of(run, node, asked=False).outcome == "memory"
    run.store.write_mark(name, Failure("damaged", "an input is damaged"))
    damaged = outcome_of(run, node, asked=False)
    assert damaged.outcome == "damaged"
    assert damaged.damaged == tuple(dict.fromkeys(node.parents)), "none of them is done"


def test_a_node_that_another_run_has_claimed_since_is_busy(run: Run, node: Node) -> None:
    """Being superseded is neither a failure nor a lost attempt."""
    name = run.store.name(node)
    run.store.write_mark(f"{name}/attempt-1", Failure("error", "it broke"))
    run.store.claim_anyway(name, "another run")
    assert outcome_of(run, node, asked=False).outcome == "busy"
    assert outcome_of(run, node, "the worker died", asked=False).outcome == "busy"
    run.store.claim_anyway(name, run.identity)
    assert outcome_of(run, node, "the worker died", asked=False).outcome == "lost", (
        "the failure of an earlier attempt says nothing"
    )
