"""Which tests a module's mutants meet: quick ones that call it."""

from pathlib import Path

__all__ = ["SUITES", "tests_of"]

STORE = "tests/orchestrator/store"
JOBS = "tests/orchestrator/jobs"
PLANNING = "tests/orchestrator/planning"
OBJECTS = (f"{STORE}/objects/test_objects.py", f"{STORE}/test_base.py", f"{STORE}/test_cache.py")
SUITES: dict[str, tuple[str, ...]] = {
    "orchestrator/store/base.py": (STORE, JOBS, "tests/orchestrator/executors/test_outcome.py"),
    "orchestrator/store/marks.py": (STORE, JOBS),
    "orchestrator/store/local.py": (
        f"{STORE}/test_local.py", f"{STORE}/test_base.py", f"{STORE}/test_open.py", JOBS, "tests/whole/test_damage.py",
    ),
    "orchestrator/store/remote.py": (f"{STORE}/test_remote.py", f"{STORE}/test_base.py", f"{STORE}/test_open.py"),
    "orchestrator/store/cache.py": (f"{STORE}/test_cache.py", f"{STORE}/test_remote.py"),
    "orchestrator/store/results.py": (f"{STORE}/test_results.py",),
    "orchestrator/store/objects/base.py": OBJECTS,
    "orchestrator/store/objects/local.py": OBJECTS,
    "orchestrator/store/objects/s3.py": OBJECTS,
    "orchestrator/store/objects/gcs.py": OBJECTS,
    "orchestrator/jobs/attempt.py": (JOBS,),
    "orchestrator/jobs/run.py": (JOBS,),
    "orchestrator/jobs/train.py": (JOBS,),
    "orchestrator/jobs/predict.py": (JOBS,),
    "orchestrator/jobs/pseudo.py": (JOBS,),
    "orchestrator/jobs/shard.py": (JOBS,),
    "orchestrator/jobs/inputs.py": (JOBS,),
    "orchestrator/jobs/failures.py": (JOBS,),
    "orchestrator/run/owner.py": ("tests/orchestrator/run/test_owner.py",),
    "orchestrator/planning/scheduler.py": (PLANNING, "tests/property/test_scheduler.py"),
    "orchestrator/planning/graph.py": (PLANNING, "tests/property/test_signatures.py", "tests/orchestrator/grids"),
    "orchestrator/planning/leaks.py": (f"{PLANNING}/test_leaks.py",),
    "features/folds.py": ("tests/features/test_folds.py", "tests/property/test_folds.py"),
    "trainers/streams.py": (
        "tests/trainers/test_streams.py", "tests/trainers/test_stream_statistics.py", "tests/trainers/test_padding.py",
        "tests/trainers/test_mixed_crops.py", "tests/property/test_batches.py",
    ),
    "trainers/loop.py": (
        "tests/trainers/test_loop_steps.py", "tests/trainers/test_loop.py", "tests/trainers/test_semi_training.py",
        "tests/trainers/test_precise_bn.py", "tests/trainers/test_variants.py",
    ),
}  # fmt: skip


def tests_of(module: str) -> tuple[str, ...]:
    """Files and folders of tests; of a module that is not listed, the file that mirrors it."""
    path = Path(module)
    return SUITES.get(module, (str(Path("tests") / path.parent / f"test_{path.name}"),))
