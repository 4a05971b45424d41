"""Pieces of work and where their results are: a folder, S3 or Google Cloud Storage.

    node.py         `Node`: a piece of work with its signature
    layout.py       what the names in a node's folder say
    contents.py     what lies in a store that is a folder
    marks.py        the mark files of a node, as dataclasses
    results.py      what jobs return, as their done-marks keep it
    interfaces.py   what readers, the driver and workers may do with a store
    base.py         `NodeStore`: what all stores share; the layout of a node's folder
    local.py        a store in a folder, where attempts work in place
    remote.py       a store in an object store, where attempts work in scratch folders
    cache.py        finished nodes of a remote store on this host's disk
    open.py         the store that a path or URL names
    patient.py      a store that is waited for while it does not answer
    objects/        bytes by key; the only room that imports boto3, google-auth and pyarrow.fs

The store is the only truth about a grid: a node is done when it has a done-mark, and a done-mark is written last. Equal
work has equal signatures, and so one folder. Nothing here imports torch, so that read-only commands start fast.
"""

from orchestrator.store.base import NodeStore
from orchestrator.store.interfaces import DriverStore, ReaderStore, State, WorkerStore
from orchestrator.store.marks import Claim, Damage, DoneMark, Failure, Placement, SignOfLife, StopRequest
from orchestrator.store.node import Kind, Node
from orchestrator.store.open import open_store

__all__ = [
    "Claim", "Damage", "DoneMark", "DriverStore", "Failure", "Kind", "Node", "NodeStore", "Placement", "ReaderStore",
    "SignOfLife", "State", "StopRequest", "WorkerStore", "open_store",
]  # fmt: skip
