"""What work there is, what of it is left, in which order, at what cost.

Pure: it uses no Ray, runs no torch computation, and reads no files except the store's marks.

    graph.py      the graph of a grid: one node for each piece of work
    recorded.py   the graph that an earlier launch recorded
    leaks.py      which labels a result depends on
    seen.py       which clips an encoder was trained on
    plan.py       what would happen to each node now, and why
    scheduler.py  runs a plan on an executor: the longest remaining path first
    cost.py       operations, GPU hours and disk of a plan
    simulate.py   the time of a plan on N GPUs: the scheduler in virtual time
    time_limit.py   how many epochs of which conditions fit into a time, from measured speeds
    gpus.py       GPU models with their peak FLOP/s

Invariants: the graph is a pure function of recipe and manifest, the plan one of graph, store and the last launch. An
error in a job blocks its dependents and nothing else. The simulation and a launch run the same scheduler. `Cost` is
imported from `cost`: counting operations needs torch, which planning alone should not wait for.
"""

from orchestrator.planning.graph import Graph, build_graph
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.planning.scheduler import Events, Executor, Finished, Needs, run_plan

__all__ = [
    "Events", "Executor", "Finished", "Graph", "Needs", "Plan", "build_graph", "make_plan", "run_plan",
]  # fmt: skip
