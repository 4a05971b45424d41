"""Stand-ins for Slurm on hosts made of namespaces: what docs/cluster/sonogrid.sbatch asks of `srun` and `scontrol`.

`srun` runs a command on a node by ssh, with the environment of the job; it ends when it is ended. `scontrol` expands
the list of nodes and writes down what is to be requeued. `Slurm.start` is what `sbatch` and the scheduler do.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.whole.cluster.hosts import Host, Hosts, Share

__all__ = ["DATA", "SBATCH", "SCONTROL", "SHARED", "Slurm"]

ROOT = Path(__file__).parents[3]
SHARED = Path("/mnt/shared")
DATA = Path("/mnt/data")
SBATCH = ROOT / "docs" / "cluster" / "sonogrid.sbatch"
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do
  case $1 in
    --nodes=1 | --ntasks=1) ;;
    --nodelist=*) node=${1#*=} ;;
    *) echo "srun: unrecognized option '$1'" >&2; exit 1 ;;
  esac
  shift
done
given=$(env | grep -E '^(SLURM|RAY|PATH|PYTHONPATH|SONOGRID|VIRTUAL)' | sed 's/=/ /' | while read -r name value; do
  printf 'export %s=%q; ' "$name" "$value"; done)
exec ssh -tt "$node" "$given $(printf '%q ' "$@")" < /dev/null
"""
SCONTROL = """#!/bin/bash
case "$1 $2" in
  "show hostnames") tr ',' '\\n' <<< "$3" ;;
  "requeue $SLURM_JOB_ID") echo "$2" >> {shared}/requeued ;;
  *) echo "scontrol: $*: not understood" >&2; exit 1 ;;
esac
"""


class Slurm:
    """Nodes that share a folder, the project and a dataset. A context manager."""

    def __init__(self, folder: Path, data: Path, nodes: int) -> None:
        self.shared = folder / "shared"
        (self.shared / "bin").mkdir(parents=True)
        (folder / "hosts").mkdir()
        for name, text in (("srun", SRUN), ("scontrol", SCONTROL.format(shared=SHARED))):
            (self.shared / "bin" / name).write_text(text)
            (self.shared / "bin" / name).chmod(0o755)
        python = [Share(path, path) for path in map(Path, dict.fromkeys((sys.prefix, sys.base_prefix)))]
        shares = [
            Share(self.shared, SHARED, writable=True),
            Share(ROOT, SHARED / "sonogrid"),
            Share(data, DATA),
            *python,
        ]
        self.hosts = Hosts(folder / "hosts", shares)
        self.nodes: list[Host] = [self.hosts.add(f"node-{number + 1}", "private") for number in range(nodes)]
        self.nodes[0].run(f"{sys.prefix}/bin/ray get-auth-token --generate")
        token = self.nodes[0].run("cat ~/.ray/auth_token").stdout.strip()
        for node in self.nodes[1:]:  # a home folder that all nodes share
            node.run(f"mkdir -p ~/.ray && printf %s {token} > ~/.ray/auth_token && chmod 600 ~/.ray/auth_token")

    @property
    def requeued(self) -> int:
        """How often a job went back into the queue."""
        path = self.shared / "requeued"
        return len(path.read_text().split()) if path.exists() else 0

    def start(self, job: int, nodes: list[Host], arguments: str) -> "subprocess.Popen[str]":
        """Run the script on the first node of an allocation; its log is in `log(job)`."""
        options = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)$", SBATCH.read_text(encoding="utf-8"), re.MULTILINE))
        assert options["ntasks-per-node"] == "1"
        environment = {
            "PATH": f"{SHARED}/bin:$PATH",
            "PYTHONPATH": f"{SHARED}/sonogrid",  # the shared environment may know another checkout
            "SONOGRID_VENV": sys.prefix,
            "SLURM_JOB_ID": job,
            "SLURM_JOB_NODELIST": ",".join(node.name for node in nodes),
            "SLURM_CPUS_PER_TASK": 1,
            "RAY_DEFAULT_OBJECT_STORE_MEMORY_PROPORTION": 0.02,
        }
        given = "; ".join(f"export {name}={value}" for name, value in environment.items())
        script = f"{SHARED}/sonogrid/{SBATCH.relative_to(ROOT)}"
        command = f"{given}; exec bash {script} {arguments} >> {SHARED}/{job}.log 2>&1"
        return subprocess.Popen(nodes[0].entering(command), stdin=subprocess.DEVNULL, text=True)

    def signal(self, node: Host, name: str) -> None:
        """Send a signal to the script alone, as `--signal=B:` says."""
        node.run(f"pkill --signal {name} --full {shlex.quote('^bash .*' + SBATCH.name)}")

    def log(self, job: int) -> str:
        """What a job has printed."""
        path = self.shared / f"{job}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def __enter__(self) -> "Slurm":
        return self

    def __exit__(self, *_: object) -> None:
        self.hosts.close()
