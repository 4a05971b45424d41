"""The hosts themselves: files, processes and a name of their own; a pulled cable is silent; nothing is left behind."""

import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole.cluster.hosts import Hosts, Share, require, why_not

pytestmark = pytest.mark.cluster

HOLD = """
import sys
from pathlib import Path
from tests.whole.cluster.hosts import Hosts
hosts = Hosts(Path(sys.argv[1]))
hosts.add("a", "private").run("setsid --fork sleep 600 > /dev/null 2>&1")
print("up", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    require(why_not())
    folder = tmp_path_factory.mktemp("hosts")
    shared = tmp_path_factory.mktemp("shared")
    shares = [Share(shared, Path("/mnt/both"), writable=True), Share(shared, Path("/mnt/look")), Share(shared, shared)]
    with Hosts(folder, shares) as made:
        made.add("a", "private", "outside")
        made.add("b", "private")
        yield made


def test_a_host_has_files_processes_and_a_name_of_its_own(hosts: Hosts) -> None:
    a, b = hosts.all["a"], hosts.all["b"]
    name = f"mine-{secrets.token_hex(8)}"
    for folder in ("/tmp", "/dev/shm", "~"):
        a.run(f"touch {folder}/{name}")
        assert name not in b.run(f"ls {folder}").stdout
    assert b.run("hostname").stdout == "b\n"
    assert "python" not in b.run("ps -e -o comm=").stdout, "this process is not to be seen"
    a.run("echo shared > /mnt/both/file")
    in_tmp = hosts.shares[-1].target / "file"
    for path in ("/mnt/look/file", in_tmp):
        assert b.run(f"cat {path}").stdout == "shared\n"
    assert "Read-only" in b.run("touch /mnt/look/file", check=False).stderr
    assert not Path("/tmp", name).exists()


def test_hosts_reach_each_other_by_name_over_ssh_and_nothing_else(hosts: Hosts) -> None:
    b = hosts.all["b"]
    assert b.run("ssh a hostname").stdout == "a\n"
    late = hosts.add("c", "outside")
    assert late.run("ssh a.outside hostname").stdout == "a\n"
    assert "unreachable" in late.run(f"ssh {b.addresses['private']} true", check=False).stderr
    assert late.run("ip route").stdout.count("\n") == 1, "no way out but to the neighbours"


def test_a_pulled_cable_is_silent_and_can_be_put_back(hosts: Hosts) -> None:
    a, b = hosts.all["a"], hosts.all["b"]
    talk = subprocess.Popen(
        b.entering("ssh a 'echo first; read; echo last'"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert talk.stdin is not None
    assert talk.stdout is not None
    assert talk.stdout.readline() == "first\n"
    a.cut()
    assert "timed out" in b.run("ssh -o ConnectTimeout=1 a true", check=False).stderr
    assert "state UP" in a.run("ip link show eth0").stdout
    talk.stdin.write("\n")
    talk.stdin.flush()
    time.sleep(1)
    assert talk.poll() is None, "no reset came"
    a.heal()
    assert talk.stdout.readline() == "last\n"
    talk.communicate()


def test_a_process_is_killed_on_its_own_host_only(hosts: Hosts) -> None:
    a, b = hosts.all["a"], hosts.all["b"]
    for host in (a, b):
        host.run("setsid --fork sleep 501 > /dev/null 2>&1")
    a.kill("sleep 501")
    assert a.run("pgrep --full 'sleep 501'", check=False).returncode == 1, "gone, not a zombie"
    assert b.run("pgrep --full 'sleep 501'").returncode == 0


def test_nothing_is_left_of_hosts_whose_owner_was_killed(hosts: Hosts, tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "up\n"
    inside = _inside(tmp_path)
    assert len(inside) >= 3, "a shell, an ssh server and a sleep"
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    deadline = time.monotonic() + 10
    while (left := [pid for pid in inside if Path(f"/proc/{pid}").exists()]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left


def _inside(folder: Path) -> list[str]:
    """Processes whose list of mounts has the folder: those of the hosts that were made in it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            if f"{folder.name} /mnt/hosts" in path.read_text():
                found.append(path.parent.name)
        except OSError:  # the process ended meanwhile
            continue
    return found
