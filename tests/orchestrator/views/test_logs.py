"""`sonogrid logs`: from the store alone, while a job runs, after it, and for jobs that never were."""

import re
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.cli.main import main
from orchestrator.run.bound import Run
from orchestrator.run.record import RecordedRun
from orchestrator.views.logs import find_job, follow_log

Tell = Callable[..., tuple[str, int]]


@pytest.fixture
def run(inline_run: Run, tmp_path: Path) -> RecordedRun:
    """A copy of a finished run, to be changed."""
    shutil.copytree(inline_run.folder, tmp_path / "run")
    return RecordedRun.open(tmp_path / "run")


def test_the_log_of_the_latest_attempt_or_of_a_named_one(run: RecordedRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", str(run.folder), "train-A-0"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "INFO attempt 1 on " in said[0]
    assert said[-1].endswith("INFO done")
    epochs = [line for line in said if " INFO epoch " in line]
    assert len(epochs) == 2, "one line per epoch"
    assert re.search(r"epoch 1 of 2: loss .*noisy \d.*; lwlrap 0\.\d+; rate .*; .* samples/s; .* s$", epochs[0])
    logs = run.store.folder(find_job(run, "train-A-0")) / "logs"
    (logs / "10.log").write_bytes(b"a\tb \x1b[31mred \xff [bold]x\n" + b"long " * 100 + b"\nhalf a line")
    (logs / "9.log").write_text("nine\n")
    assert main(["logs", str(run.folder), "train-A-0"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        r"a       b \x1b[31mred \xff [bold]x", ("long " * 100), "half a line"
    ]  # fmt: skip
    assert main(["logs", str(run.folder), "train-A-0", "--attempt", "9", "--follow"]) == 0
    assert capsys.readouterr().out == "nine\n"


def test_jobs_and_attempts_that_are_not_there_are_sentences(run: RecordedRun, tell: Tell) -> None:
    words, code = tell("logs", "run", "trian-A-0")
    assert (words, code) == (
        "run has no job 'trian-A-0'; did you mean 'train-A-0'? 'sonogrid status run' lists all jobs", 2
    )  # fmt: skip
    assert tell("logs", "run", "../../etc/passwd")[1] == 2
    assert tell("logs", "run", "train-A-0", "--attempt", "7") == (
        "train-A-0 has no log of attempt 7; its latest attempt is 1", 2
    )  # fmt: skip
    shutil.rmtree(run.store.folder(find_job(run, "blend")))
    assert tell("logs", "run", "blend") == (
        "blend has no log yet: no attempt has started; --follow waits for one", 2
    )  # fmt: skip


def test_following_gives_each_line_once_over_attempts_until_the_job_is_done(run: RecordedRun) -> None:
    node = find_job(run, "train-A-0")
    folder = run.store.folder(node)
    done = (folder / "done.json").read_bytes()
    (folder / "done.json").unlink()
    shutil.rmtree(folder / "logs")
    said: list[str] = []

    def follow() -> None:
        for line in follow_log(run, node):
            said.append(line)

    thread = threading.Thread(target=follow)
    thread.start()

    def wait_for(count: int) -> None:
        deadline = time.monotonic() + 120
        while len(said) < count and time.monotonic() < deadline:
            time.sleep(0.02)

    (folder / "logs").mkdir()
    with (folder / "logs" / "1.log").open("w") as log:
        print("one", file=log, flush=True)
        wait_for(1)
        print("two", file=log)
        log.write("killed in mid")
    (folder / "logs" / "2.log").write_text("again\n")
    wait_for(4)
    (folder / "logs" / "2.log").write_text("again\nlast words")
    (folder / "done.json").write_bytes(done)
    thread.join(120)
    assert said == ["one", "two", "killed in mid", "again", "last words"]


def test_following_waits_for_a_store_that_is_away(run: RecordedRun) -> None:
    root, elsewhere = run.store.root, run.folder / "elsewhere"
    root.rename(elsewhere)
    back = threading.Timer(1.5, elsewhere.rename, (root,))
    back.start()
    lines = list(follow_log(run, find_job(run, "train-A-0")))
    assert lines[-1].endswith("INFO done")
