"""A RUN folder: a grid bound to a dataset and a store.

    bound.py       `Run`: Recipe, manifest, store and graph; claims nodes for attempts
    unstored.py    a Run in memory only, which `plan` prices before there is a RUN folder
    record.py      `RUN/run.json`: what the last launch recorded; enough for read-only commands
    owner.py       the one process that runs a RUN, while it lives
    execution.py   how and where a grid runs; not part of any signature
    fit.py         what of a grid a dataset can serve
    time_limit.py  what of a grid fits into a time on this machine, by a short measurement
    starts.py      whether weights to start from fit the networks
    selection.py   which part of a grid is wanted, and what a launch would do
    same.py        refuses to launch into a RUN of another grid, other data or another store
    places.py      refuses folders and files where nothing can be written

`run.json` and the store hold everything: a RUN can be resumed on another machine. A RUN has at most one live owner.
"""
