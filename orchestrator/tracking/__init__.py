"""MLflow as a view of the store. Outside this room, only the loader of registered models imports MLflow.

    connection.py  where MLflow keeps its runs; a client that gives up quickly
    runs.py        the runs of one experiment; every write is made once
    facts.py       what a run says about itself: description, dataset, cost
    times.py       when a job began and ended
    mirror.py      which runs, metrics, tags and files a grid has there
    thread.py      mirrors while a grid runs
    models.py      the blend as a registered model
    shared_views.py  a table and curves that MLflow keeps with an experiment
    server.py      `sonogrid ui`

Invariants: everything here is made from the store, so MLflow can be lost and filled again. Mirroring twice adds
nothing. Only the driver talks to MLflow, never a worker; an outage stops no job and is reported at the end.
"""

from orchestrator.tracking.connection import Place
from orchestrator.tracking.mirror import Mirror, bring_up_to_date
from orchestrator.tracking.thread import MirrorThread

__all__ = ["Mirror", "MirrorThread", "Place", "bring_up_to_date"]
