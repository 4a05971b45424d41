"""cluster.yaml brought up for real, and a grid on it: ssh, Ray's launcher, MLflow and the command line are a user's."""

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from features.files import read_json, sha256_file
from orchestrator.run import Run
from tests.cluster.hosts import Share, why_not
from tests.cluster.rack import SHARED, VENV, Rack

pytestmark = pytest.mark.cluster

WORKERS = 3
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


@pytest.fixture(scope="module")
def rack(tmp_path_factory: pytest.TempPathFactory, small_data: Path, tiny_grid: Path) -> Iterator[Rack]:
    """Laptop, head and two workers, with cluster.yaml up; a third worker is in the file but still off."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with Rack(tmp_path_factory.mktemp("rack"), WORKERS, late=1, shares=[Share(small_data, DATA)]) as made:
        shutil.copy(tiny_grid, made.shared)
        (made.shared / "ask.py").write_text(ASK, encoding="utf-8")
        made.up()
        yield made


@pytest.fixture(scope="module")
def cluster_run(rack: Rack) -> Path:
    """The store of the tiny grid, launched from the laptop; the third worker is switched on after the first job."""
    out = rack.shared / "run"
    launch = rack.start_on_cluster(
        f"sonogrid launch {SHARED}/tiny.yaml --data {DATA} --out {SHARED}/run --address auto"
    )
    while not list(out.glob("store/train-*/attempt-*/alive.json")):
        assert launch.poll() is None, launch.communicate()[0]
        time.sleep(0.5)
    late = rack.switch_on()
    printed, _ = launch.communicate(timeout=600)
    assert launch.returncode == 0, printed
    rack.wait_for(late.name, limit_s=60)
    return out


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


def test_ray_answers_only_to_who_has_the_token(rack: Rack) -> None:
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


def test_the_tracking_server_answers_the_private_network_alone(rack: Rack) -> None:
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


def test_a_grid_on_the_cluster_is_the_inline_run_to_the_bit(
    rack: Rack, cluster_run: Path, inline_run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions = 0
    for node in inline_run.graph.nodes.values():
        ours = inline_run.store.folder(node)
        theirs = cluster_run / "store" / ours.name
        for name in read_json(ours / "done.json")["files"]:
            if name not in ("history.jsonl", "study.journal"):  # hold times
                assert sha256_file(ours / name) == sha256_file(theirs / name), f"{node.name}: {name}"
                predictions += node.kind == "predict"
    assert predictions >= 24
    with capsys.disabled():
        print(f"\n{timeline(cluster_run)}")


def test_jobs_ran_on_several_hosts_and_a_late_one_joined(rack: Rack, cluster_run: Path) -> None:
    hosts = {read_json(path)["host"] for path in cluster_run.glob("store/*/done.json") if "manifest" not in str(path)}
    assert {"head", "worker-1", "worker-2"} <= hosts
    assert rack.nodes().keys() == {"head", *rack.workers}


def test_the_run_is_seen_on_the_tracking_server(rack: Rack, cluster_run: Path) -> None:
    search = "[run.info.run_name for run in mlflow.MlflowClient().search_runs(['1'])]"
    printed = rack.on_cluster(f'python -c "import mlflow; print({search})"')
    assert {"A fold 0", "B fold 1", "blend"} <= set(re.findall(r"'([\w ]+)'", printed)), printed


def test_the_report_is_there_on_the_cluster(rack: Rack, cluster_run: Path, inline_run: Run) -> None:
    assert "Table 1" in rack.on_cluster(f"sonogrid report {SHARED}/run")
    ours, theirs = read_json(inline_run.folder / "report.json"), read_json(cluster_run / "report.json")
    assert theirs["blend"] == ours["blend"]


def test_ray_down_ends_ray_everywhere(rack: Rack, cluster_run: Path) -> None:
    rack.down()
    assert rack.head.run("pgrep gcs_server", check=False).returncode == 1
    deadline = time.monotonic() + 100
    for name in rack.workers:
        while rack.hosts.all[name].run("pgrep raylet", check=False).returncode == 0:
            assert time.monotonic() < deadline, f"the raylet of {name} outlives its cluster"
            time.sleep(1)


def timeline(run: Path) -> str:
    """What ran where and when, a line a job."""
    rows = sorted(read_json(run / "timeline.json"), key=lambda row: row["start_s"])
    hosts = {mark["name"]: mark["host"] for mark in map(read_json, run.glob("store/*/done.json")) if "host" in mark}
    return "\n".join(
        f"{row['start_s']:6.1f} - {row['end_s']:6.1f} s  {hosts[row['name']]:10}{row['name']}" for row in rows
    )
