"""Hosts on one machine: Linux namespaces joined by bridges, each with files, processes and an ssh server of its own.

    with Hosts(folder, shares=[Share(data, Path("/mnt/data"))]) as hosts:
        head = hosts.add("head", "private", "outside")
        worker = hosts.add("worker-1", "private")
        worker.run("ssh head hostname")
        worker.cut(), worker.heal()

    python -m tests.cluster.hosts a b c         a shell on the first of three hosts, which end with it

A host is a process with a network, mount, PID, IPC and host-name namespace. Its /tmp, /run, /dev/shm and home folder
are its own and empty; everything else is the machine's. The bridges lie in a namespace too, so no interface, route or
mount of the machine itself is touched, and no packet can leave. A namespace ends with its process, and a process with
the one that started it, even by SIGKILL: nothing can be left behind.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["NETWORKS", "Host", "Hosts", "Share", "require", "why_not"]

NETWORKS = {"private": "10.77.0", "outside": "10.78.0"}
"""Bridges, and the first three numbers of the addresses on them (/24, no way from one to the other)."""
COMMANDS = ("ip", "nsenter", "pkill", "rsync", "setpriv", "ssh", "ssh-keygen", "sshd", "unshare")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OWN_FOLDERS = (Path("/tmp"), Path("/run"), Path("/dev/shm"))
ASIDE = Path("/mnt")
"""Where a host keeps the shared folders mounted while it covers the folders of its own."""


@dataclass(frozen=True)
class Share:
    """A folder or file of the machine that hosts see too."""

    source: Path
    target: Path
    writable: bool = False


def require(reason: str | None) -> None:
    """Fail where the tests of clusters can't run: they run only when they are asked for, by `make cluster-test`.

    A skipped test would look like one that has passed.
    """
    if reason is not None:
        pytest.fail(f"make cluster-test can't run here: {reason}", pytrace=False)


def why_not() -> str | None:
    """Why this machine can't have hosts, as a sentence; None where it can."""
    if os.geteuid() != 0:
        return "hosts are network namespaces, which need root"
    missing = [name for name in COMMANDS if shutil.which(name, path=PATH) is None]
    if missing:
        return f"{', '.join(missing)} not found; on Debian: apt-get install iproute2 openssh-server procps rsync"
    made = subprocess.run(_unshare("true"), env={"PATH": PATH}, capture_output=True, text=True, check=False)
    if made.returncode:
        return f"this machine may not make namespaces: {made.stderr.strip()}"
    return None


def _unshare(*command: str) -> list[str]:
    namespaces = ("--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--mount-proc")
    return ["setpriv", "--pdeathsig", "KILL", "unshare", *namespaces, "--kill-child", *command]


class _Namespace:
    """A process with namespaces of its own."""

    def __init__(self, script: str) -> None:
        # pid 1 must reap what others leave; a shell that waits on its standard input does, and ends when we do.
        command = _unshare("bash", "-euc", f"{script}\necho ready\nread -r _ || true")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": PATH, "HOME": str(Path.home())},
            text=True,
        )
        self.pid = self._process.pid
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            _, error = self._process.communicate()
            raise RuntimeError(f"no namespace: {error.strip()}")

    def entering(self, command: str) -> list[str]:
        """The argument list that runs a shell command inside."""
        inside = ("--net", "--mount", "--uts", "--ipc", f"--pid=/proc/{self.pid}/ns/pid_for_children")
        clean = ("env", "-i", f"PATH={PATH}", f"HOME={Path.home()}", "LANG=C.UTF-8")
        return ["nsenter", "--target", str(self.pid), *inside, "--wd=/", *clean, "bash", "-c", command]

    def run(self, command: str, timeout_s: float = 120, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a shell command inside and wait for it.

        Raises:
            AssertionError: it failed and `check` is set; the message has its output.
        """
        done = subprocess.run(
            self.entering(command),
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
        )
        assert not check or done.returncode == 0, (
            f"exit code {done.returncode}: {command}\n{done.stdout}\n{done.stderr}"
        )
        return done

    def ip(self, command: str) -> None:
        """Run `ip` on the network inside; process ids in it are the machine's."""
        subprocess.run(["nsenter", "--target", str(self.pid), "--net", "ip", *shlex.split(command)], check=True)

    def close(self) -> None:
        """End every process inside, and with the last one the namespaces."""
        self._process.kill()
        self._process.communicate()


class Host(_Namespace):
    """One host: a name, an address on each of its networks, a cable to each bridge that can be pulled."""

    def __init__(self, name: str, addresses: dict[str, str], switch: _Namespace, script: str) -> None:
        super().__init__(script)
        self.name, self.addresses, self._switch = name, addresses, switch
        for number, (network, address) in enumerate(addresses.items()):
            port = _port(network, address)
            switch.ip(f"link add {port} type veth peer name eth{number} netns {self.pid}")
            switch.ip(f"link set {port} master {network} up")
            self.ip(f"address add {address}/24 dev eth{number}")
            self.ip(f"link set eth{number} up")

    def cut(self) -> None:
        """Pull the cables: packets vanish without a word, and the links stay up on both sides."""
        for network, address in self.addresses.items():
            self._switch.ip(f"link set {_port(network, address)} nomaster")

    def kill(self, pattern: str) -> None:
        """SIGKILL every process of the host whose command line matches."""
        self.run(f"pkill --signal KILL --full {shlex.quote(pattern)}")

    def heal(self) -> None:
        """Put the cables back."""
        for network, address in self.addresses.items():
            self._switch.ip(f"link set {_port(network, address)} master {network}")


def _port(network: str, address: str) -> str:
    return f"{network}-{address.rpartition('.')[2]}"


class Hosts:
    """The hosts, their networks, and the ssh key that lets each into each. A context manager: leaving it ends all.

    Args:
        folder: an empty folder for the key, the list of hosts and the ssh servers' logs.
        shares: what every host sees of the machine, beyond what lies outside its own folders.
    """

    def __init__(self, folder: Path, shares: Sequence[Share] = ()) -> None:
        self.folder, self.shares = folder.resolve(), tuple(shares)
        self.all: dict[str, Host] = {}
        self.key = self.folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
        (self.folder / "hosts").write_text("127.0.0.1 localhost\n", encoding="ascii")
        self._switch = _Namespace("")
        for network in NETWORKS:
            self._switch.ip(f"link add {network} type bridge")
            self._switch.ip(f"link set {network} up")

    def add(self, name: str, *networks: str) -> Host:
        """One more host, at any time; the others find it by NAME on its first network, by NAME.NETWORK on the next."""
        number = len(self.all) + 1
        addresses = {network: f"{NETWORKS[network]}.{number}" for network in networks}
        # Written in place: every host has this very file as its /etc/hosts.
        with (self.folder / "hosts").open("a", encoding="ascii") as stream:
            for network, address in addresses.items():
                stream.write(f"{address} {name if network == networks[0] else f'{name}.{network}'}\n")
        self.all[name] = Host(name, addresses, self._switch, self._script(name))
        return self.all[name]

    def _script(self, name: str) -> str:
        """What makes a namespace a host: files of its own, a name, the loopback interface and an ssh server."""
        home = Path.home()
        shares = [Share(self.folder, ASIDE / "hosts", writable=True), *self.shares]
        lines = [f"mount -t tmpfs -o size=1m tmpfs {ASIDE}"]
        for number, share in enumerate(shares):
            make = "mkdir -p" if share.source.is_dir() else "touch"
            lines += [f"{make} {ASIDE}/{number}", f"mount --bind {shlex.quote(str(share.source))} {ASIDE}/{number}"]
        lines += [f"mount -t tmpfs -o size=4g tmpfs {folder}" for folder in (*OWN_FOLDERS, home)]
        for number, share in enumerate(shares):
            target = shlex.quote(str(share.target))
            make = f"mkdir -p {target}" if share.source.is_dir() else f"mkdir -p $(dirname {target}); touch {target}"
            lines += [f"test -e {target} || {{ {make}; }}", f"mount --bind {ASIDE}/{number} {target}"]
            if not share.writable:
                lines.append(f"mount -o remount,bind,ro {target}")
        options = {
            "AuthorizedKeysFile": f"{ASIDE}/hosts/key.pub",
            "HostKey": f"{ASIDE}/hosts/key",
            "PasswordAuthentication": "no",
            "PidFile": "none",
            "StrictModes": "no",
        }
        given = " ".join(f"-o {key}={value}" for key, value in options.items())
        lines += [
            f"hostname {name}",
            f"mount --bind {ASIDE}/hosts/hosts /etc/hosts",
            "ip link set lo up",
            "mkdir -p /run/sshd ~/.ssh",
            f"install -m 600 {ASIDE}/hosts/key ~/.ssh/id_ed25519",
            r"printf 'StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n' > ~/.ssh/config",
            f"/usr/sbin/sshd -f /dev/null {given} -E {ASIDE}/hosts/sshd-{name}.log",
        ]
        return "\n".join(lines)

    def close(self) -> None:
        """End all hosts and their networks."""
        for host in self.all.values():
            host.close()
        self._switch.close()

    def __enter__(self) -> "Hosts":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def main(names: Sequence[str]) -> int:
    """Run a shell on the first of some hosts on the private network; return its exit code."""
    reason = why_not() if names else "give the names of the hosts"
    if reason is not None:
        print(f"hosts: {reason}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder, Hosts(Path(folder)) as hosts:
        for name in names:
            hosts.add(name, "private")
        return subprocess.run(hosts.all[names[0]].entering("exec bash -i"), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
