"""cluster.yaml brought up for real, and a grid on it: ssh, Ray's launcher, MLflow and the command line are a user's."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from features.errors import InputError
from features.files import read_json, sha256_file
from orchestrator.grids.load import load_grid
from orchestrator.launch import launch
from orchestrator.run.bound import Run
from orchestrator.run.selection import Selection, prepare
from orchestrator.services import find_postgres
from tests.fixtures.harm import INLINE, QUIET
from tests.whole.cluster.hosts import Share, require, why_not
from tests.whole.cluster.rack import CLUSTER, ROOT, SHARED, VENV, Rack
from tests.whole.cluster.story import GRID, STORE, Story, tell, timeline
from trainers.history import is_measured

pytestmark = pytest.mark.cluster

WORKERS = 3
RACK_WORKERS = [f"worker-{number + 1}" for number in range(WORKERS)]
DATA = Path("/mnt/data")
ASK = """
import sys, urllib.error, urllib.request
address, host = sys.argv[1:]
try:
    print(urllib.request.urlopen(urllib.request.Request(address, headers={"Host": host}), timeout=5).status)
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
except urllib.error.URLError as error:
    print(error.reason)
"""


def _no_services() -> str | None:
    """Why there are no services here, as a sentence; None where there are."""
    try:
        find_postgres()
    except InputError as error:
        return str(error)
    return None


@pytest.fixture(scope="module")
def rack(tmp_path_factory: pytest.TempPathFactory, small_data: Path) -> Iterator[Rack]:
    """Laptop, head and two workers, with cluster.yaml up; a third worker is in the file but still off."""
    require(why_not() or _no_services())
    with Rack(tmp_path_factory.mktemp("rack"), WORKERS, late=1, shares=[Share(small_data, DATA)]) as made:
        (made.shared / "ask.py").write_text(ASK, encoding="utf-8")
        made.up()
        yield made


@pytest.fixture(scope="module")
def inline_story(tmp_path_factory: pytest.TempPathFactory, small_data: Path) -> Run:
    """The story's grid, run in this process."""
    folder = tmp_path_factory.mktemp("inline-story")
    (folder / "story.yaml").write_text(GRID, encoding="utf-8")
    run = prepare(load_grid(str(folder / "story.yaml")), small_data, folder / "run")
    assert launch(run, INLINE, Selection(), QUIET).ok
    return Run.open(folder / "run")


@pytest.fixture(scope="module")
def story(rack: Rack) -> Story:
    """The grid on the cluster, through all that happens to its hosts."""
    return tell(rack, DATA)


def test_ray_up_brings_all_hosts_that_are_on(rack: Rack) -> None:
    nodes = rack.nodes()
    assert nodes.keys() == {"head", "worker-1", "worker-2"}
    for name, node in nodes.items():
        assert node["resources"]["CPU"] == 1
        assert node["resources"]["GPU"] == 2
        assert node["host"] == name, "a task pinned to a node runs there"
        assert node["devices"] in ("0", "1")
        assert node["package"].startswith(f"{Path.home()}/sonogrid/"), "the project that `ray up` brought"
    assert "/6.0 GPU" in rack.on_cluster("ray status")


def test_ray_answers_only_with_the_token(rack: Rack) -> None:
    head = rack.head.addresses["private"]
    ask = f"ray status --address {head}:6379"
    worker = rack.hosts.all["worker-1"]
    path = f"PATH={VENV}/bin:$PATH"
    assert "/6.0 GPU" in worker.run(f"{path} RAY_AUTH_MODE=token {ask}").stdout
    refused = worker.run(f"{path} RAY_AUTH_MODE=token RAY_AUTH_TOKEN=guessed-{'0' * 32} {ask}", check=False)
    assert refused.returncode != 0
    assert "InvalidAuthToken" in refused.stderr + refused.stdout
    for host in (rack.head, worker):
        for name in (".ray/auth_token", ".sonogrid.env"):
            assert host.run(f"stat -c %a ~/{name}").stdout == "600\n"


def test_the_tracking_server_answers_only_the_private_network(rack: Rack) -> None:
    def ask(name: str, server: str, host: str) -> str:
        address = f"http://{server}:5000/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
        return rack.hosts.all[name].run(f"{VENV}/bin/python {SHARED}/ask.py '{address}' {host}").stdout.strip()

    private, outside = rack.head.addresses["private"], rack.head.addresses["outside"]
    deadline = time.monotonic() + 90  # `ray up` does not wait for it
    while (answer := ask("worker-1", "head", "head:5000")) != "200":
        assert time.monotonic() < deadline, answer
        time.sleep(2)
    assert ask("worker-2", private, f"{private}:5000") == "200"
    assert ask("worker-1", "head", "evil.example").startswith("403 Invalid Host header")
    assert "refused" in ask("laptop", outside, f"{outside}:5000")
    assert "unreachable" in ask("laptop", private, f"{private}:5000")


def test_the_story_ends_with_the_inline_run_to_the_bit(
    story: Story, inline_story: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\n{timeline(story)}\nworker-1 was cut off for {story.silent_s:.0f} s")
    predictions = 0
    for node in inline_story.graph.nodes.values():
        folder, theirs = inline_story.store.results(node), story.found["nodes"][node.name]
        for name in read_json(folder / "done.json")["files"]:
            if name not in ("history.jsonl", "study.journal"):  # hold times; the study is in PostgreSQL
                assert sha256_file(folder / name) == theirs["files"][name], f"{node.name}: {name}"
                predictions += node.kind == "predict"
        ours = inline_story.store.history(node)
        assert [timeless(record) for record in ours] == [timeless(record) for record in theirs["history"]], node.name
    assert predictions == 6 * 2 + 2  # of curated and test clips, and of noisy ones by the teacher


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if not is_measured(key)}


def test_lost_jobs_continued_elsewhere_from_their_checkpoint(story: Story) -> None:
    for lost in (story.cut, story.killed):
        facts = story.found["nodes"][lost["name"]]
        assert facts["attempts"] > lost["attempt"]
        second = facts["logs"][str(lost["attempt"] + 1)]
        assert re.search(r"continued at epoch [1-9]", second), second
        assert f"attempt {lost['attempt'] + 1} on " in second
    elsewhere = story.found["nodes"][story.cut["name"]]["logs"][str(story.cut["attempt"] + 1)]
    assert "on worker-1," not in elsewhere
    assert story.silent_s > 30, "longer than Ray waits for a sign of life"


def test_a_late_host_got_its_share(story: Story) -> None:
    ran = {event["host"] for event in story.events if "host" in event}
    assert ran | {facts["host"] for facts in story.found["nodes"].values()} == {"head", *RACK_WORKERS}


def test_nothing_of_attempts_is_left_in_the_store(story: Story) -> None:
    keys = [key for key in story.found["keys"] if key.startswith("story/")]
    assert len(keys) > 50
    unfinished = r"/(failed|damaged|stop|placement|alive|queued)\.json|/checkpoint|/unfinished/|/\."
    assert not [key for key in keys if re.search(unfinished, key)]


def test_the_tracking_server_has_each_job_once_in_postgresql_and_s3(story: Story, inline_story: Run) -> None:
    runs = {run["name"]: run for run in story.found["runs"]}
    jobs = [f"{name} fold {fold}" for name in ("plain", "A", "B") for fold in (0, 1)]
    assert sorted(run["name"] for run in story.found["runs"]) == sorted([*jobs, "plain", "A", "B", "blend"])
    assert {run["status"] for run in runs.values()} == {"FINISHED"}
    for name, epochs in zip(jobs, (8, 8, 8, 8, 4, 4), strict=True):
        assert runs[name]["steps"] == list(range(1, epochs + 1)), name
    assert story.found["rows"] == len(runs)
    assert [key for key in story.found["keys"] if key.startswith("mlflow/") and key.endswith(".safetensors")]


def test_the_blends_study_is_in_postgresql(story: Story) -> None:
    assert any(name.startswith("blend-") and name.endswith("all folds") for name in story.found["studies"])


def test_the_report_is_complete_on_the_cluster(rack: Rack, story: Story, inline_story: Run) -> None:
    assert "lwlrap" in rack.on_cluster(f"sonogrid report {SHARED}/run")
    ours, theirs = read_json(inline_story.folder / "report.json"), read_json(story.folder / "report.json")
    assert theirs["complete"]
    assert theirs == ours


def test_every_command_of_the_docs_for_machines_reached_by_ssh(rack: Rack, story: Story) -> None:
    tells = {
        "ray status": "GPU", "sonogrid check": "no problems", "sonogrid launch": "nothing to do",
        "sonogrid status": "not running", "sonogrid report": "lwlrap", "rsync-down": "submission.csv",
    }  # fmt: skip
    typed = []
    for command in commands_of_the_docs("Machines reached by ssh"):
        if command.startswith(("sed ", "ray up ", "ray down ")):  # done by the rack at its start and end
            continue
        here = command.replace("launch paper", f"launch {SHARED}/story.yaml --store {STORE}")
        here = here.replace("cluster.yaml", str(CLUSTER)).replace("/data/FSDKaggle2019", str(DATA))
        printed = rack.on_laptop(here.replace("/data/runs/paper", f"{SHARED}/run"), timeout_s=120)
        (told,) = [part for part in tells if part in command]
        assert tells[told] in printed, f"{command}: {printed}"
        typed.append(told)
    assert typed == list(tells)
    submission = rack.laptop.run("cat submission.csv").stdout.splitlines()
    assert submission[0].startswith("fname,")
    assert len(submission) > 1


def commands_of_the_docs(section: str) -> list[str]:
    """The lines of the first code block of a section of docs/cluster/README.md."""
    text = (ROOT / "docs" / "cluster" / "README.md").read_text(encoding="utf-8")
    return text.split(f"## {section}\n")[1].split("```\n")[1].splitlines()


def test_all_hosts_are_back_and_idle(rack: Rack, story: Story) -> None:
    for name in RACK_WORKERS:
        rack.wait_for(name, limit_s=240)
    for host in rack.hosts.all.values():
        jobs = [line for line in host.run("ps -e -o args=").stdout.splitlines() if line.startswith("ray::")]
        assert not [line for line in jobs if "run_asked" in line or "Train" in line], host.name


def test_ray_down_and_the_services_end_leave_nothing(rack: Rack, story: Story) -> None:
    rack.down()
    assert rack.head.run("pgrep --full 'gcs_server|moto|postgres'", check=False).stdout == ""
    deadline = time.monotonic() + 150
    for name in rack.workers:
        while rack.hosts.all[name].run("pgrep raylet", check=False).returncode == 0:
            assert time.monotonic() < deadline, f"the raylet of {name} outlives its cluster"
            time.sleep(1)
