"""Two that want the same run or node: owners of runs, attempts that were given up and come back."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from features.errors import InputError
from features.files import write_json
from orchestrator.executors.inline import InlineExecutor
from orchestrator.grids.load import load_grid
from orchestrator.jobs.run import run_job
from orchestrator.launch import launch
from orchestrator.planning.scheduler import Events, run_plan
from orchestrator.run.bound import Run
from orchestrator.run.owner import own
from orchestrator.run.record import RecordedRun
from orchestrator.run.selection import Selection, plan_of, prepare
from orchestrator.store.base import NodeStore
from orchestrator.views.status import read_status
from tests.fixtures.harm import INLINE, QUIET, attempt_at, ran, signs

pytestmark = pytest.mark.usefixtures("own_mlflow")


# --- one owner


HOLD = "import sys, time; from pathlib import Path; from orchestrator.run.owner import own\n"
HOLD += "with own(Path(sys.argv[1])):\n print('owned', flush=True)\n time.sleep(600)"
COUNT = """
import sys, time
from itertools import count
from pathlib import Path
from features.files import write_json
for number in count(4):
    write_json(Path(sys.argv[1]), {"token": "x", "host": "elsewhere", "pid": 7, "time": 0.0, "count": number})
    time.sleep(0.4)
"""


@pytest.fixture
def holder(copy: Run) -> Iterator[subprocess.Popen[str]]:
    """Another process that owns the run."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(copy.folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "owned\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_run_has_one_owner_and_a_dead_owner_is_replaced(
    copy: Run, holder: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = ran(copy, capsys)
    assert code == 2
    assert f"is being run by process {holder.pid} on {socket.gethostname()}" in said
    assert "last sign of life" in str(read_status(RecordedRun.open(copy.folder)).owner)
    holder.kill()
    holder.wait()
    code, said = ran(copy, capsys)
    assert code == 0
    assert f"process {holder.pid} on {socket.gethostname()} has exited; taking over its run" in said
    assert read_status(RecordedRun.open(copy.folder)).owner is None


def test_an_owner_on_another_machine_is_dead_when_its_counter_stands_still(
    copy: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.run.owner.STANDSTILL_S", 1.5)
    path = copy.folder / "owner.json"
    # Its clock is years ahead, which does not matter: no clocks are compared.
    write_json(path, {"token": "x", "host": "elsewhere", "pid": 7, "time": time.time() + 1e8, "count": 3})
    with own(copy.folder) as owner:
        assert owner.took_over == "process 7 on elsewhere"
    write_json(path, {"token": "x", "host": "elsewhere", "pid": 7, "time": 0.0, "count": 3})
    monkeypatch.setattr("orchestrator.run.owner.STANDSTILL_S", 60.0)
    counting = subprocess.Popen([sys.executable, "-c", COUNT, str(path)])
    try:
        with pytest.raises(InputError, match="is being run by process 7 on elsewhere"), own(copy.folder):
            pass
    finally:
        counting.kill()
        counting.wait()


def test_no_secret_reaches_a_jobs_log_or_its_failure(copy: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "sesame-sesame")
    node = copy.graph.nodes[copy.graph.train["plain", 0]]
    copy.store.forget(node)

    def breaks() -> Any:
        raise RuntimeError("no answer from postgresql://me:hunter2@db/x with sesame-sesame")

    monkeypatch.setattr("orchestrator.jobs.run.versions", breaks)
    with pytest.raises(RuntimeError):
        run_job(copy.claim(node, INLINE.of_job()))
    log = copy.store.log(node)
    assert log is not None
    written = log.read_text() + (copy.store.folder(node) / "attempt-2" / "failed.json").read_text()
    assert "no answer from postgresql://me:" in written
    assert "hunter2" not in written
    assert "sesame" not in written


def test_a_superseded_attempt_writes_nothing_more(copy: Run) -> None:
    """A worker that was cut off comes back: its successor's files stay as they are."""
    node = copy.graph.nodes[copy.graph.train["plain", 0]]
    copy.store.forget(node)
    first = copy.claim(node, INLINE.of_job())

    class CutOff:
        asked = 0

        def __call__(self) -> Any:
            CutOff.asked += 1
            if CutOff.asked == 2:  # after its first epoch the node is given to another attempt, which finishes it
                assert run_job(copy.claim(node, INLINE.of_job()))
                CutOff.done = {p.name: p.read_bytes() for p in copy.store.results(node).iterdir()}
            return "no"

    assert run_job(first, CutOff()) is False
    after = {p.name: p.read_bytes() for p in copy.store.results(node).iterdir()}
    assert after == CutOff.done  # type: ignore[attr-defined]
    assert copy.store.done(node).attempts == 3
    assert "attempt 2 on" in (copy.store.folder(node) / "logs" / "2.log").read_text()


def test_an_attempt_that_was_believed_lost_and_finishes_is_not_repeated(copy: Run) -> None:
    node = copy.graph.nodes[copy.graph.train["plain", 0]]
    copy.store.forget(node)
    assert run_job(copy.claim(node, INLINE.of_job()))
    executor = InlineExecutor(copy, INLINE)
    executor.submit(node)
    assert [finished.outcome for finished in executor.wait(1)] == ["done"]
    assert copy.store.done(node).attempts == 2
    # It finishes between the look and the claim: what it did stays, and the attempt that comes too late ends.
    late = copy.claim(node, INLINE.of_job())
    copy.store.sweep(copy.store.name(node))
    assert run_job(late) is False
    assert copy.store.done(node).attempts == 2


def test_a_node_that_another_run_works_on_is_waited_for(
    inline_run: Run, tmp_path: Path, small_data: Path, tiny_grid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.planning.scheduler.BUSY_PAUSE_S", 0.2)
    shutil.copytree(inline_run.store.root, tmp_path / "shared")
    run = prepare(load_grid(str(tiny_grid)), small_data, tmp_path / "mine", tmp_path / "shared")
    node = run.graph.nodes[run.graph.train["A", 0]]
    other = Run(tmp_path / "other", run.recipe, run.data_root, run.store, run.manifest)
    busy: list[float] = []
    with attempt_at(other, node, other.identity):
        assert run.store.is_busy(node, run.identity)
        assert not run.store.is_busy(node, other.identity)
        began = time.monotonic()

        class StopAfterASecond(Events):
            def should_stop(self) -> bool:
                busy.append(time.monotonic() - began)
                return busy[-1] > 1.0

        plan = plan_of(run, Selection())
        summary = run_plan(plan, InlineExecutor(run, INLINE), StopAfterASecond())
        assert summary.done == 0
        claim = run.store.latest_claim(run.store.name(node))
        assert claim is not None
        assert claim.run_id == other.identity
        (sign,) = signs(run, node)
        left = sign.read_bytes()
    assert not run.store.is_busy(node, run.identity), "it has said that it ended"
    sign.write_bytes(left)  # as if it had been killed
    assert run.store.is_busy(node, run.identity)
    monkeypatch.setattr(NodeStore, "takeover_s", 0.5)
    time.sleep(0.6)
    assert not run.store.is_busy(node, run.identity), "its signs have not changed for that long"
    assert launch(run, INLINE, Selection(), QUIET).ok
