"""Which tests a module's mutants meet: quick ones that call it."""

from pathlib import Path

__all__ = ["SUITES", "suite_of"]

STORE = "tests/orchestrator/store"
JOBS = "tests/orchestrator/jobs"
PLANNING = "tests/orchestrator/planning"
IN_A_FOLDER = ("-k", "not s3")
"""What the stores share is tested in a folder, where it is quick."""
OBJECTS = (f"{STORE}/objects/test_objects.py", f"{STORE}/objects/test_base.py", f"{STORE}/objects/test_s3.py")
SUITES: dict[str, tuple[str, ...]] = {
    "orchestrator/store/base.py": (
        f"{STORE}/test_base.py", f"{STORE}/test_base_answers.py", f"{STORE}/test_local.py", f"{STORE}/test_layout.py",
        f"{JOBS}/test_attempt.py", *IN_A_FOLDER,
    ),
    "orchestrator/store/marks.py": (
        f"{STORE}/test_marks.py", f"{STORE}/test_base.py", f"{STORE}/test_results.py", *IN_A_FOLDER,
    ),
    "orchestrator/store/local.py": (
        f"{STORE}/test_local.py", f"{STORE}/test_base.py", f"{JOBS}/test_attempt.py", *IN_A_FOLDER,
    ),
    "orchestrator/store/remote.py": (f"{STORE}/test_base.py", f"{STORE}/test_remote.py"),
    "orchestrator/store/cache.py": (f"{STORE}/test_cache.py",),
    "orchestrator/store/results.py": (f"{STORE}/test_results.py",),
    "orchestrator/store/objects/base.py": OBJECTS,
    "orchestrator/store/objects/local.py": OBJECTS,
    "orchestrator/store/objects/s3.py": OBJECTS,
    "orchestrator/store/objects/gcs.py": OBJECTS,
    "orchestrator/jobs/attempt.py": (f"{JOBS}/test_attempt.py",),
    "orchestrator/jobs/run.py": (f"{JOBS}/test_run.py",),
    "orchestrator/jobs/train.py": (f"{JOBS}/test_train.py", f"{JOBS}/test_registry.py"),
    "orchestrator/jobs/predict.py": (f"{JOBS}/test_predict.py", f"{JOBS}/test_registry.py"),
    "orchestrator/jobs/pseudo.py": (f"{JOBS}/test_pseudo.py",),
    "orchestrator/jobs/shard.py": (f"{JOBS}/test_shard.py",),
    "orchestrator/jobs/inputs.py": (f"{JOBS}/test_inputs.py", f"{JOBS}/test_run.py"),
    "orchestrator/jobs/failures.py": (f"{JOBS}/test_failures.py",),
    "orchestrator/run/owner.py": ("tests/orchestrator/run/test_owner.py",),
    "orchestrator/planning/scheduler.py": (
        f"{PLANNING}/test_scheduler.py", f"{PLANNING}/test_simulate.py", "tests/property/test_scheduler.py",
    ),
    "orchestrator/planning/graph.py": (
        f"{PLANNING}/test_graph.py", f"{PLANNING}/test_graph_nodes.py", f"{PLANNING}/test_recorded.py",
        "tests/property/test_signatures.py",
    ),
    "orchestrator/planning/leaks.py": (
        f"{PLANNING}/test_leaks.py", "-k", "labels_seen or named or noisy_copy or test_clip",
    ),
    "features/folds.py": ("tests/features/test_folds.py", "tests/property/test_folds.py"),
    "trainers/streams.py": (
        "tests/trainers/test_streams.py", "tests/trainers/test_padding.py", "tests/trainers/test_mixed_crops.py",
    ),
    "trainers/loop.py": (
        "tests/trainers/test_loop_steps.py", "tests/trainers/test_loop.py", "tests/trainers/test_semi_training.py",
        "tests/trainers/test_precise_bn.py",
    ),
}  # fmt: skip


def suite_of(module: str) -> tuple[str, ...]:
    """Arguments for pytest; of a module that is not listed, the file that mirrors it."""
    path = Path(module)
    return SUITES.get(module, (str(Path("tests") / path.parent / f"test_{path.name}"),))
