"""One condition x fold as a Ray Train job that starts quickly.

An empty `TorchTrainer` job costs 22-27 s of CPU, nearly all of it imports in the helper processes that Train starts.
What a job does not need is left out here (figures in docs/experiments.md): for one worker the process group, for which
the controller would import torch; the actor for Ray Data sets; and the actor that frees the resources of a dead
controller, which the driver does itself.
"""

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.store.marks import Placement

__all__ = ["await_result", "fast_start_environment", "fit", "free_abandoned", "free_resources", "placement"]

LEFT_OUT = frozenset({"DatasetsCallback", "PlacementGroupCleanerCallback"})
LOOK_S = 0.5
"""How often a thread that waits for a job looks whether Ray is about to be closed."""
ENVIRONMENT = {
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # another actor per job
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # up to 2 s at a job's end otherwise
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # paths stay relative to where the user is
    "RAY_prestart_worker_first_driver": "0",  # Train's actors never take these
    "RAY_worker_niceness": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def fast_start_environment() -> None:
    """Set variables that Ray reads when it is imported; values that are already set stay."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def await_result(reference: Any, closing: threading.Event | None = None) -> Any:
    """`ray.get` that ends within a second when Ray is about to be closed: a thread within Ray would crash then.

    Raises:
        RuntimeError: Ray is about to be closed.
        Exception: what the task raised.
    """
    import ray

    while closing is None or not closing.is_set():
        ready, _ = ray.wait([reference], timeout=LOOK_S)
        if ready:
            return ray.get(reference)
    raise RuntimeError("the executor was closed")


def fit(
    function: Any,
    spec: Any,
    storage: str,
    *,
    cpus: float,
    gpus: float,
    machines: Sequence[str],
    closing: threading.Event | None = None,
) -> None:
    """Run `function({"spec": spec})` in Ray Train workers, one on each of the machines named; returns when all ended.

    Several workers can talk through torch.distributed's default group, of gloo: it works with and without GPUs, and
    workers with GPUs add an NCCL group.

    Raises:
        RuntimeError: `closing` was set before.
        Exception: a worker's or the controller's process was lost, or `function` raised.
    """
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.backend import BackendConfig
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.train.v2._internal.constants import get_env_vars_to_propagate
    from ray.train.v2._internal.execution.controller import TrainController

    class QuickTrainer(TorchTrainer):
        """Without the helpers that our jobs do not need."""

        def _create_default_callbacks(self) -> list[Any]:
            every = super()._create_default_callbacks()  # type: ignore[misc]
            return [callback for callback in every if type(callback).__name__ not in LEFT_OUT]

        def _initialize_and_run_controller(self, **parts: Any) -> Any:
            """As Train does it, but the wait can be ended, and so is the controller then."""
            here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
            environment = {"env_vars": get_env_vars_to_propagate()}
            actor: Any = ray.remote(num_cpus=0, label_selector=here, runtime_env=environment)(TrainController)
            controller = actor.remote(**parts)
            await_result(controller.run.remote(), closing)
            return await_result(controller.get_result.remote(), closing)

    @dataclass
    class NoProcessGroup(BackendConfig):
        """A single worker needs no process group."""

        backend: str = "none"

    QuickTrainer(
        function,
        train_loop_config={"spec": spec},
        torch_config=NoProcessGroup() if len(machines) == 1 else TorchConfig(backend="gloo"),  # type: ignore[arg-type]
        scaling_config=ScalingConfig(
            num_workers=len(machines),
            use_gpu=gpus > 0,
            resources_per_worker={"CPU": cpus, **({"GPU": gpus} if gpus else {})},
            label_selector=[{"ray.io/node-id": machine} for machine in machines],  # type: ignore[call-arg]
        ),
        # Attempts are counted by the scheduler, which knows a lost node from an error in the job.
        run_config=RunConfig(
            name=spec.node,
            storage_path=storage,
            # Workers that find no room within a minute, as a machine went or others were quicker, are placed again.
            failure_config=FailureConfig(max_failures=0, controller_failure_limit=0),  # type: ignore[call-arg]
        ),
    ).fit()


def placement() -> Placement:
    """In the worker: the id of the job's reservation, for `free_resources`."""
    from ray.util import get_current_placement_group

    group = get_current_placement_group()
    return Placement(group.id.hex() if group is not None else "")


def free_resources(placement: Placement) -> None:
    """In the driver, after a job ended badly: drop its reservation, which ends its processes too."""
    from ray._raylet import PlacementGroupID
    from ray.util import remove_placement_group
    from ray.util.placement_group import PlacementGroup

    if placement.id:
        remove_placement_group(PlacementGroup(PlacementGroupID.from_hex(placement.id)))


def free_abandoned() -> None:
    """In the driver, after a job was lost: drop our reservations whose controller is dead, however early it died."""
    import ray
    from ray._private.state import state
    from ray._raylet import PlacementGroupID
    from ray.core.generated.gcs_pb2 import PlacementGroupTableData  # type: ignore[attr-defined]
    from ray.util import remove_placement_group
    from ray.util.placement_group import PlacementGroup

    ours = ray.get_runtime_context().get_job_id()
    for raw in state._connect_and_get_accessor().get_placement_group_table():
        group = PlacementGroupTableData.FromString(raw)
        removed = group.state == PlacementGroupTableData.REMOVED
        if removed or group.creator_job_id.hex() != ours or not group.creator_actor_id.strip(b"\xff"):
            continue
        if state.actor_table(group.creator_actor_id.hex()).get("State") == "DEAD":
            remove_placement_group(PlacementGroup(PlacementGroupID(group.placement_group_id)))
