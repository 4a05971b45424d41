"""The Ray cluster as the executor sees it: its machines, and what its autoscaler is asked for."""

import json
import time
from collections.abc import Iterable
from typing import Any

from orchestrator.executors.ledger import Machine
from orchestrator.planning.scheduler import Needs

__all__ = ["Demand", "draining", "has_autoscaler", "machines"]

NODE_TYPE = "ray.io/accelerator-type"
MOST_BUNDLES = 1_000
"""An autoscaler adds machines in steps; the rest is asked for when these are placed."""


def machines() -> dict[str, Machine]:
    """All machines that are alive, by their id."""
    import ray
    from ray._private.state import state

    free = state.available_resources_per_node()  # type: ignore[no-untyped-call]
    found = {}
    for node in ray.nodes():  # type: ignore[no-untyped-call]
        name, has = node["NodeID"], node["Resources"]
        if not node["Alive"] or name not in free:  # one that has just joined is known a moment later
            continue
        types = [key.partition(":")[2] for key in has if key.startswith("accelerator_type:")]
        found[name] = Machine(
            name,
            cpus=has.get("CPU", 0.0),
            gpus=has.get("GPU", 0.0),
            gpu=node.get("Labels", {}).get(NODE_TYPE) or (types or [""])[0],
            used_cpus=has.get("CPU", 0.0) - free[name].get("CPU", 0.0),
            used_gpus=has.get("GPU", 0.0) - free[name].get("GPU", 0.0),
        )
    return found


def draining() -> set[str]:
    """Machines that are about to be removed."""
    from ray._private.state import state

    return set(state.get_draining_nodes())


def has_autoscaler() -> bool:
    """Whether machines may be added when jobs wait for them.

    Every head has a process that reports for the autoscaler. Without one, a machine's type is made up of its own id.
    """
    import ray
    from ray.autoscaler.v2.sdk import get_cluster_status
    from ray.autoscaler.v2.utils import is_autoscaler_v2
    from ray.experimental.internal_kv import _internal_kv_get

    if is_autoscaler_v2():
        status = get_cluster_status(ray.get_runtime_context().gcs_address)
        nodes = [*status.active_nodes, *status.idle_nodes, *status.pending_nodes]
        types: Iterable[str] = [node.ray_node_type_name for node in nodes if node.ray_node_type_name]
    else:
        report = json.loads(_internal_kv_get(b"__autoscaling_status") or b"{}").get("autoscaler_report") or {}
        types = report.get("active_nodes", {})
    return any(not name.startswith("node_") for name in types)


class Demand:
    """What the autoscaler is asked for.

    An autoscaler sizes the cluster as if it were empty, so running tasks are part of the demand. Train jobs ask for
    themselves through Ray's coordinator of demands, and so does this, since the coordinator writes the only list. A
    demand that is not renewed is dropped: a driver that dies leaves no machines behind.
    """

    RENEW_S, LAPSE_S = 20.0, 120.0

    def __init__(self) -> None:
        self._asked: list[dict[str, float]] = []
        self._renewed = 0.0

    def show(self, needs: dict[Needs, int]) -> None:
        """Ask for room for so many jobs of each kind; none: withdraw."""
        import ray

        bundles = [bundle for kind, count in needs.items() for bundle in [_bundle(kind)] * (kind.workers * count)]
        bundles = bundles[:MOST_BUNDLES]
        if bundles == self._asked and (not bundles or time.monotonic() - self._renewed < self.RENEW_S):
            return
        from ray.data._internal.cluster_autoscaler.default_autoscaling_coordinator import (
            get_or_create_autoscaling_coordinator,
        )

        coordinator: Any = get_or_create_autoscaling_coordinator()  # type: ignore[no-untyped-call]
        mine = f"sonogrid-{ray.get_runtime_context().get_job_id()}"
        if bundles:
            coordinator.request_resources.remote(requester_id=mine, resources=bundles, expire_after_s=self.LAPSE_S)
        else:
            coordinator.cancel_request.remote(requester_id=mine)
        self._asked, self._renewed = bundles, time.monotonic()


def _bundle(needs: Needs) -> dict[str, float]:
    """What one worker takes, in Ray's names."""
    bundle = {"CPU": needs.cpus}
    if needs.gpus:
        bundle["GPU"] = needs.gpus
        if needs.gpu:
            bundle[f"accelerator_type:{needs.gpu}"] = 0.001
    return bundle
