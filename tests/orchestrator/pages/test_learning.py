"""Learning curves of a real run."""

import numpy as np

from orchestrator.pages.document import Table
from orchestrator.pages.learning import learning_section
from orchestrator.run.bound import Run


def test_figures_are_those_of_the_histories(inline_run: Run) -> None:
    table = learning_section(inline_run, inline_run.recipe.conditions).blocks[-1]
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["plain", "A", "B", "D"]
    nodes = [inline_run.graph.nodes[inline_run.graph.train["plain", fold]] for fold in range(2)]
    scores = np.array([[record["lwlrap"] for record in inline_run.store.history(node)] for node in nodes])
    row = table.rows[0]
    assert row[1:3] == ["2 of 2", str(scores.shape[1])]
    assert row[3] == str(scores.mean(axis=0).argmax() + 1)
    assert row[4:6] == [f"{scores.mean(axis=0).max():.3f}", f"{scores.mean(axis=0)[-1]:.3f}"]


def test_one_condition_alone(inline_run: Run) -> None:
    table = learning_section(inline_run, ["B"]).blocks[-1]
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["B"]


def test_nothing_has_trained_yet(copy: Run) -> None:
    for node in copy.graph.nodes.values():
        copy.store.forget(node)
    assert "Nothing has trained yet" in str(learning_section(copy, copy.recipe.conditions).blocks)
