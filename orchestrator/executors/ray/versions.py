"""Whether the machines of a cluster have the driver's Python, Ray and torch, and exactly its sonogrid source.

A cluster with an older checkout of the same version is the common case, so sonogrid's version includes a hash of its
source files. Otherwise differences would be found late, as errors in jobs, or never, as other results.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from features.errors import InputError
from orchestrator.redact import one_line

__all__ = ["check_nodes", "differing_nodes", "installed"]

ANSWER_S = 120.0
"""A node may have to start a process for it, on a busy machine."""


def installed() -> dict[str, str]:
    """What this process runs: name -> version; "absent" where there is none."""
    return _question()()


def _question() -> Callable[[], dict[str, str]]:
    """A function within a function is sent to the nodes with its code: what they have may be old, or missing."""

    def versions_here() -> dict[str, str]:
        import hashlib
        import platform
        from importlib import metadata, util
        from pathlib import Path

        def version(package: str) -> str:
            try:
                return metadata.version(package)
            except metadata.PackageNotFoundError:
                return "absent"

        sources = hashlib.sha256()
        found = 0
        for package in ("features", "trainers", "orchestrator"):
            spec = util.find_spec(package)
            for root in (spec.submodule_search_locations if spec else None) or ():
                for path in sorted(Path(root).rglob("*.py")):
                    name = f"{package}/{path.relative_to(root).as_posix()}"
                    sources.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
                    found += 1
        if (module := util.find_spec("sonogrid")) and module.origin:
            sources.update(Path(module.origin).read_bytes())
        return {
            "Python": platform.python_version(),
            "ray": version("ray"),
            "torch": version("torch"),
            "sonogrid": f"{version('sonogrid')} ({sources.hexdigest()[:12]})" if found else "absent",
        }

    return versions_here


def check_nodes(known: set[str]) -> None:
    """Compare the nodes that are not known yet with this process, and remember those that agree.

    Raises:
        InputError: one differs; the sentence names the node, the package and both versions.
    """
    for sentence in differing_nodes(known).values():
        raise InputError(sentence)


def differing_nodes(known: set[str], closing: threading.Event | None = None) -> dict[str, str]:
    """Nodes that differ from this process, each with a sentence; those that agree are added to `known` (ids of nodes).

    A node that leaves while it is asked is neither; nor is one that has not answered when `closing` is set.
    """
    import ray
    from ray.exceptions import GetTimeoutError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = {identity: node for identity, node in _alive().items() if identity not in known}
    if not nodes:
        return {}
    ours = installed()
    task = ray.remote(num_cpus=0, max_retries=0)(_question())
    asked = {
        identity: task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(identity, soft=False)).remote()
        for identity in nodes
    }
    deadline, waiting = time.monotonic() + ANSWER_S, list(asked.values())
    while waiting and time.monotonic() < deadline:
        if closing is not None and closing.is_set():
            return {}
        _, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=0.5)
    found = {}
    for identity, answer in asked.items():
        name = f"node {nodes[identity]['NodeManagerHostname']} ({nodes[identity]['NodeManagerAddress']})"
        try:
            theirs: dict[str, str] = ray.get(answer, timeout=0.1)
        except Exception as error:  # Ray has many ways to say that a node is gone
            if identity in _alive():
                slow = isinstance(error, GetTimeoutError)
                why = f"within {ANSWER_S:g} s" if slow else f"({one_line(error)})"
                found[identity] = f"{name} did not answer when asked for its versions {why}: remove it or check it"
            continue
        differences = [
            f"{package} {theirs[package]}, not {version} as here"
            for package, version in ours.items()
            if theirs[package] != version
        ]
        if differences:
            found[identity] = f"{name} has {'; '.join(differences)}: install the same there, or remove the node"
        else:
            known.add(identity)
    return found


def _alive() -> dict[str, dict[str, Any]]:
    """Nodes of the cluster by their id."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return {node["NodeID"]: node for node in nodes if node["Alive"]}
