"""Optuna's studies: where trials are recorded, what a study says of itself, and the page that shows them.

    storage.py    a journal file, or a database that several processes share
    record.py     a study as it is recorded: trials so far, and a place for more
    samplers.py   what proposes the next trial
    dashboard.py  Optuna Dashboard, served on localhost

`orchestrator.blending` searches weights, `orchestrator.search` settings of a condition. Nothing is unpickled: samplers
that keep their state in a storage do so in memory only.
"""
