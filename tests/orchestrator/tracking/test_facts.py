"""Descriptions, dataset and cost of a run in MLflow."""

import json

from orchestrator.run.bound import Run
from orchestrator.store.marks import DoneMark
from orchestrator.tracking.facts import Facts, best_of, cost_of, cost_of_all


def test_a_description_says_in_words_what_a_run_is(inline_run: Run) -> None:
    facts = Facts(inline_run)
    condition = facts.of_condition("A")
    assert condition.startswith("Condition **A** of grid tiny: a training for each of 2 folds")
    assert "multitask true" in condition
    node = inline_run.graph.nodes[inline_run.graph.train["A", 1]]
    assert facts.of_fold("A", node).startswith("Fold 1 of condition **A** of grid tiny")
    for text in (condition, facts.of_fold("A", node), facts.of_blend()):
        assert f"Dataset `{inline_run.data_root}`: 16 curated, 12 noisy, 6 test clips" in text


def test_the_command_is_part_of_it_if_it_was_recorded(copy: Run) -> None:
    assert "Launched as" not in Facts(copy).of_blend(), "this grid was launched from Python"
    copy.save({"command": "sonogrid launch tiny.yaml --data data --out run"})
    assert "```\nsonogrid launch tiny.yaml --data data --out run\n```" in Facts(copy).of_blend()


def test_the_dataset_is_named_by_its_content_with_its_sizes(inline_run: Run) -> None:
    name, digest, source, profile = Facts(inline_run).dataset
    assert (name, source) == (inline_run.data_root.name, str(inline_run.data_root))
    assert inline_run.manifest.content_hash().startswith(digest)
    assert len(digest) == 12
    sizes = json.loads(profile)
    assert (sizes["curated_clips"], sizes["noisy_clips"], sizes["test_clips"]) == (16, 12, 6)
    assert sizes["classes"] == list(inline_run.manifest.classes)
    assert Facts(inline_run).tags()["sonogrid.data"] == digest


def test_the_cost_of_a_job_and_of_several() -> None:
    first = DoneMark(host="a", device="cpu", seconds=10.0, workers=2, peak_mb=300.0, versions={"torch": "2"})
    second = DoneMark(host="b", device="cpu", seconds=5.0, peak_mb=500.0)
    tags, figures = cost_of(first)
    assert tags == {"sonogrid.host": "a", "sonogrid.device": "cpu", "sonogrid.version.torch": "2"}
    assert figures == {"system/wall_seconds": 10.0, "system/device_seconds": 20.0, "system/peak_memory_mb": 300.0}
    tags, figures = cost_of_all([first, second])
    assert tags == {"sonogrid.host": "a, b", "sonogrid.device": "cpu"}
    assert figures == {"system/wall_seconds": 15.0, "system/device_seconds": 25.0, "system/peak_memory_mb": 500.0}


def test_the_best_epoch() -> None:
    history = [{"epoch": 1, "lwlrap": 0.5}, {"epoch": 2, "lwlrap": 0.7}, {"epoch": 3, "lwlrap": 0.6}]
    assert best_of(history) == {"best_lwlrap": 0.7, "best_epoch": 2.0}
    assert best_of([]) == {}
