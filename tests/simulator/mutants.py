"""Old faults, put back into today's code: the simulator has to find them.

Numbers are those of the list of faults that an adversarial review of an early revision found. Not here: 4, signals
while Ray starts; 9, 12 and others that are no matter of the order of events.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import orchestrator.executors.inline
import orchestrator.executors.outcome
import orchestrator.executors.ray.executor
import orchestrator.jobs.run
import orchestrator.launch
import orchestrator.planning.scheduler
import orchestrator.run.bound
import orchestrator.store.base
import orchestrator.store.local
from features.errors import DamagedInputError, StoreError, SupersededError
from features.files import hash_of, write_json
from orchestrator.executors.outcome import outcome_of
from orchestrator.jobs.run import _remember_failure
from orchestrator.planning.scheduler import Finished, _Loop
from orchestrator.run.bound import Run
from orchestrator.run.owner import Owner
from orchestrator.store.base import NodeStore, checksums
from orchestrator.store.layout import attempt_place, done_file
from orchestrator.store.local import LocalNodeStore
from orchestrator.store.marks import Claim, DoneMark, SignOfLife
from orchestrator.store.remote import RemoteNodeStore
from orchestrator.tracking.runs import Mirrored, Runs
from tests.simulator.kernel import KERNEL
from tests.simulator.stand_ins import Patches

__all__ = ["MUTANTS", "Mutant"]


@dataclass(frozen=True)
class Mutant:
    """A fault that the code once had."""

    what: str
    put_back: Callable[[Patches], None]


def _outcome_of(run: Run, node: Any, error: str = "", *, asked: bool) -> Finished:
    """Without *busy*: being superseded by another run counts as lost."""
    found = outcome_of(run, node, error, asked=asked)
    return replace(found, outcome="lost", cause="stopped before its end") if found.outcome == "busy" else found


def fight(patches: Patches) -> None:
    def is_busy(self: NodeStore, name: str, layout: Any, run_id: str, owner: int) -> bool:
        claim = self._latest_claim(name, layout)
        if claim is None or claim.is_of(run_id) or self.sign_of(name, claim.attempt) is None:
            return False  # a claim is no sign of life
        return real(self, name, layout, run_id, owner)

    real = NodeStore._is_busy
    patches.set(NodeStore, "_is_busy", is_busy)
    patches.set(orchestrator.executors.ray.executor, "outcome_of", _outcome_of)


def claim_without_condition(patches: Patches) -> None:
    def create(self: Any, place: str, mark: Any, file: str) -> bool:
        if not isinstance(mark, Claim):
            return real[type(self)](self, place, mark, file)
        if isinstance(self, LocalNodeStore):
            write_json(self.root / place / file, mark.to_json())
        else:
            self.storage.write(f"{place}/{file}", orchestrator.store.remote._json(mark))
        return True

    def may_write(self: NodeStore, name: str, claim: Claim) -> bool:
        found = self.latest_claim(name)
        return found is not None and found.attempt == claim.attempt

    real = {kind: kind.create_mark for kind in (LocalNodeStore, RemoteNodeStore)}
    for kind in real:
        patches.set(kind, "create_mark", create)
    patches.set(NodeStore, "may_write", may_write)


def sweep_of_others(patches: Patches) -> None:
    patches.set(orchestrator.store.local, "OLD_S", -1.0)


def manifest_of_another(patches: Patches) -> None:
    def put(self: Run, name: str, mark: DoneMark, write: Any) -> None:
        with suppress(DamagedInputError):
            self.store.results_of(name)
            return
        claim = self.store.claim_anyway(name, self.identity)
        self.store.finish(name, claim, mark, write(self.store.begin(name, claim.attempt)))

    patches.set(Run, "_put", put)


def failure_by_signal(patches: Patches) -> None:
    def run_job(spec: Any, *about: Any, **more: Any) -> bool:
        try:
            return real(spec, *about, **more)
        except SystemExit as error:
            _remember_failure(orchestrator.jobs.run.open_store(spec.store, listed=False), spec, error)  # type: ignore[arg-type]
            raise

    import tests.simulator.cluster
    import tests.simulator.history

    real = orchestrator.jobs.run.run_job
    patches.set(tests.simulator.cluster, "run_job", run_job)
    patches.set(tests.simulator.history, "run_job", run_job)


def siblings_fail(patches: Patches) -> None:
    def missing(self: NodeStore, name: str, layout: Any) -> StoreError:
        if name.startswith("manifest-"):
            return real(self, name, layout)
        return StoreError(f"{name}/done.json is missing")

    def redo(self: _Loop, signature: str, damaged: Iterable[str]) -> None:
        for parent in damaged:
            if parent not in self.nodes or parent in self.done:
                self.done.discard(parent)
                node = self.nodes[parent] = self.known[parent]
                self.unmet[parent] = {p for p in node.parents if p in self.nodes and p not in self.done}
                self.unmet[signature].add(parent)
                self._push(parent)
        self._pause(signature, 0.0)

    real = NodeStore._missing
    patches.set(NodeStore, "_missing", missing)
    patches.set(_Loop, "_redo", redo)


def results_in_one_place(patches: Patches) -> None:
    def finish(self: NodeStore, name: str, claim: Claim, mark: DoneMark, files: Iterable[Any]) -> None:
        files = sorted(files)
        place = name
        mark = replace(mark, attempts=claim.attempt, folder="", files=checksums(files))
        for path in files:
            if isinstance(self, LocalNodeStore):
                (self.root / place / path.name).write_bytes(path.read_bytes())
            else:
                self.storage.put(path, f"{place}/{path.name}")  # type: ignore[attr-defined]
        if isinstance(self, LocalNodeStore):
            write_json(self.root / attempt_place(name, claim.attempt) / DoneMark.FILE, mark.to_json())
        if not self.create_mark(name, mark, done_file(claim.generation)):
            raise SupersededError(f"another attempt at {name} has finished before this one")

    patches.set(NodeStore, "finish", finish)


def double_runs(patches: Patches) -> None:
    def ensure(self: Runs, key: str, name: str, params: Any, tags: Any, started_ms: int) -> Mirrored:
        run = self._by_key.get(key)
        if run is None:
            created = self._client.create_run(
                self._experiment, start_time=started_ms, tags={"sonogrid.signature": key, **tags}, run_name=name
            )
            run = self._by_key[key] = Mirrored.of(created)
            self._params(run, params)
        return run

    patches.set(Runs, "ensure", ensure)
    patches.set(Runs, "_one_of", lambda self, same: Mirrored.of(same[0]))


def impatient(patches: Patches) -> None:
    patches.set(orchestrator.launch, "patient", lambda store, _: store)
    patches.set(orchestrator.jobs.run, "patient", lambda store, _: store)


def superseded_stops_the_run(patches: Patches) -> None:
    def outcome(run: Run, node: Any, error: str = "", *, asked: bool) -> Finished:
        found = outcome_of(run, node, error, asked=True)
        return replace(found, outcome="stopped") if found.outcome == "busy" else found

    patches.set(orchestrator.executors.inline, "outcome_of", outcome)


def identity_is_the_path(patches: Patches) -> None:
    patches.set(Run, "identity", property(lambda self: f"{'0' * 32}.{hash_of(str(self.folder))[:12]}"))


def alive_by_one_probe(patches: Patches) -> None:
    """`is_busy` by the age of `alive.json` on the file system's clock, with a probe of one name per process."""

    def clock(self: LocalNodeStore) -> float:
        probe = self.root / f".clock.{KERNEL[0].process.pid if KERNEL[0].process else 0}.tmp"
        probe.touch()
        shown = probe.stat().st_mtime
        probe.unlink()
        return shown

    def is_busy(self: NodeStore, name: str, layout: Any, run_id: str, owner: int) -> bool:
        claim = self._latest_claim(name, layout)
        if claim is None or claim.is_of(run_id) or layout.is_done:
            return False
        try:
            place = self.root / attempt_place(name, claim.attempt) / SignOfLife.FILE
            return clock(self) - place.stat().st_mtime < self.alive_s  # type: ignore[arg-type]
        except OSError:
            return False

    patches.set(NodeStore, "_is_busy", is_busy)


def replaced_owner(patches: Patches) -> None:
    patches.set(Owner, "look", lambda self: True)


MUTANTS = {
    "1": Mutant("two runs fight over a node: a claim is no sign of life, being superseded is a lost attempt", fight),
    "2": Mutant("a claim is written whatever is there, and only its number is compared", claim_without_condition),
    "3a": Mutant("sweeping removes the temporary files of others", sweep_of_others),
    "3b": Mutant("a manifest that another run finished is an error", manifest_of_another),
    "5": Mutant("a job that gets SIGTERM has failed", failure_by_signal),
    "6": Mutant("missing results are an error, and siblings start while an input is computed again", siblings_fail),
    "7": Mutant("attempts write their results to one place", results_in_one_place),
    "8": Mutant("runs in MLflow are looked up once, and completed only when created", double_runs),
    "10": Mutant("a store that does not answer ends the launch", impatient),
    "11": Mutant("inline, being superseded stops the whole run", superseded_stops_the_run),
    "13": Mutant("a run is known by its path", identity_is_the_path),
    "22": Mutant("signs of life are compared with a clock whose file all threads share", alive_by_one_probe),
    "24": Mutant("an owner never looks whether it was replaced", replaced_owner),
}
