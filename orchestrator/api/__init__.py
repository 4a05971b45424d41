"""sonogrid as Python functions: what the command line does, it does through these.

    data.py      datasets: fetch, init, check, encoder
    running.py   grids: load_grid, plan, launch, resume, search, tune
    watching.py  status, logs, ui, sync
    results.py   report, score, review, submission
    tagging.py   serve, export, register; the Tagger itself is in `orchestrator.tagger`
    upkeep.py    runs, clean
    given.py     arguments that several functions share

Each function imports what it needs when it is called, so that `import sonogrid` takes no time. Bad input raises an
exception (`features.errors`) whose message is one sentence; nothing exits the process.
"""

from orchestrator.api.data import EncoderFile, check, encoder, fetch, init
from orchestrator.api.results import report, review, score, submission
from orchestrator.api.running import PricedPlan, launch, load_grid, plan, resume, search, tune
from orchestrator.api.tagging import export, register, serve
from orchestrator.api.upkeep import clean, runs
from orchestrator.api.watching import logs, status, sync, ui

__all__ = [
    "EncoderFile", "PricedPlan", "check", "clean", "encoder", "export", "fetch", "init", "launch", "load_grid",
    "logs", "plan", "register", "report", "resume", "review", "runs", "score", "search", "serve", "status",
    "submission", "sync", "tune", "ui",
]  # fmt: skip
