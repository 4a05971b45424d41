"""The cluster files, held against Ray's own schema, and what they promise, held against what is there."""

import re
import shlex
import tomllib
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import yaml
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import cli as ray_cli

from orchestrator.cli.main import main

ROOT = Path(__file__).parents[3]
LAUNCHED = ["cluster.yaml", "docs/cluster/aws.yaml", "docs/cluster/gcp.yaml"]
CLOUDS = LAUNCHED[1:]


def load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    return found


def commands(config: dict[str, Any]) -> list[str]:
    return [line for key, lines in config.items() if key.endswith("commands") for line in lines]


@pytest.fixture(scope="module")
def manifest() -> dict[str, dict[str, Any]]:
    """The Kubernetes objects by kind."""
    documents = yaml.safe_load_all((ROOT / "docs/cluster/kuberay.yaml").read_text(encoding="utf-8"))
    return {document["kind"]: document for document in documents}


@pytest.mark.parametrize("name", LAUNCHED)
def test_ray_takes_the_file(name: str) -> None:
    config = load(name)
    validate_config(prepare_config(config))
    config["provider"].pop("type")
    with pytest.raises(jsonschema.ValidationError):
        validate_config({**prepare_config(load(name)), "provider": config["provider"]})


@pytest.mark.parametrize("name", LAUNCHED)
def test_hosts_are_set_up_from_the_constraints_with_the_whole_project(name: str) -> None:
    config = load(name)
    mounted = {Path(remote).name: local for remote, local in config["file_mounts"].items()}
    assert {
        "features",
        "trainers",
        "orchestrator",
        "sonogrid.py",
        "constraints.txt",
        "pyproject.toml",
        "README.md",
    } <= mounted.keys()
    for local in mounted.values():
        assert local.startswith("~") or (ROOT / local).exists()
    (install,) = [line for line in config["setup_commands"] if "pip install" in line]
    words = shlex.split(install)
    assert words[words.index("--constraint") + 1] == "~/sonogrid/constraints.txt"
    assert words[words.index("--editable") + 1] == "$HOME/sonogrid[cluster]"


@pytest.mark.parametrize("name", LAUNCHED)
def test_ray_wants_the_token_and_all_hosts_get_it(name: str) -> None:
    config = load(name)
    for secret in ("~/.ray/auth_token", "~/.sonogrid.env"):
        assert config["file_mounts"][secret] == secret
        assert any(line.startswith("chmod 600") and secret in line for line in config["setup_commands"])
    settings = (ROOT / "docs/cluster/sonogrid.env").read_text(encoding="utf-8")
    assert "\nRAY_AUTH_MODE=token\n" in settings
    assert not any("RAY_AUTH" in line for line in commands(config))


@pytest.mark.parametrize("name", LAUNCHED)
def test_servers_listen_only_on_the_private_network(name: str) -> None:
    config = load(name)
    lines = commands(config)
    assert not any("0.0.0.0" in line for line in lines)
    (server,) = [line for line in lines if "mlflow server" in line]
    assert "--allowed-hosts" in server
    assert "$(hostname):5000" in server
    assert "*" not in server, "a wildcard would let any host name in"
    assert "--backend-store-uri" not in server, "the database has a password: from the environment alone"
    (head,) = [line for line in lines if "ray start --head" in line]
    assert "--dashboard-host=127.0.0.1" in head


def test_the_heads_address_is_the_same_throughout() -> None:
    text = (ROOT / "cluster.yaml").read_text(encoding="utf-8")
    config = load("cluster.yaml")
    head = config["provider"]["head_ip"]
    (start,) = [line for line in config["head_start_ray_commands"] if "ray start" in line]
    (server,) = [line for line in config["head_start_ray_commands"] if "mlflow server" in line]
    assert f"--node-ip-address={head} " in start
    assert f"--host {head} " in server
    assert f'"{head}:5000,' in server
    used = [line for line in text.splitlines() if head in line and not line.startswith("#")]
    assert sum(line.count(head) for line in used) == 4, "as many as its comment says"
    assert f"MLFLOW_TRACKING_URI=http://{head}:5000" in (ROOT / "docs/cluster/sonogrid.env").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CLOUDS)
def test_workers_are_spot_bounded_and_come_with_the_demand(name: str) -> None:
    config = load(name)
    types = config["available_node_types"]
    head = types.pop(config["head_node_type"])
    assert head["resources"]["CPU"] == head["resources"]["GPU"] == 0
    assert not is_spot(head["node_config"]), "the driver lives there"
    gpus = [kind for kind in types.values() if kind["resources"].get("GPU")]
    others = [kind for kind in types.values() if not kind["resources"].get("GPU")]
    assert len(gpus) >= 2
    assert others, "features need no GPU"
    for kind in types.values():
        assert is_spot(kind["node_config"])
        assert kind["min_workers"] == 0
        assert 0 < kind["max_workers"] <= config["max_workers"]
    assert config["idle_timeout_minutes"] <= 15


def is_spot(node: dict[str, Any]) -> bool:
    market = node.get("InstanceMarketOptions", {}).get("MarketType") == "spot"
    return market or node.get("scheduling", {}).get("provisioningModel") == "SPOT"


@pytest.mark.parametrize("name", CLOUDS)
def test_no_port_of_a_cloud_machine_is_public(name: str) -> None:
    config = load(name)
    assert "security_group" not in config["provider"], "Ray would add it to rules that open ssh to everyone"
    for kind in config["available_node_types"].values():
        node = kind["node_config"]
        closed = node.get("SecurityGroupIds") or [part["subnetwork"] for part in node["networkInterfaces"]]
        assert closed, "without one of its own Ray makes one that is open"


def test_kuberay_reads_the_manifest(manifest: dict[str, dict[str, Any]]) -> None:
    cluster = manifest["RayCluster"]
    config = _derive_autoscaling_config_from_ray_cr(
        {**cluster, "metadata": {**cluster["metadata"], "namespace": "default"}}
    )
    types = config["available_node_types"]
    assert types["headgroup"]["resources"]["CPU"] == 0
    assert types["gpu"]["resources"] == {"CPU": 8, "GPU": 1, "memory": 32 * 2**30}
    assert "GPU" not in types["cpu"]["resources"]
    for name in ("gpu", "cpu"):
        assert types[name]["min_workers"] == 0
        assert types[name]["max_workers"] > 0
    assert config["idle_timeout_minutes"] == 10
    assert cluster["spec"]["enableInTreeAutoscaling"] is True
    assert f"\nray=={cluster['spec']['rayVersion']}\n" in (ROOT / "constraints.txt").read_text(encoding="utf-8")


def test_every_pod_has_the_secret_and_the_data(manifest: dict[str, dict[str, Any]]) -> None:
    spec = manifest["RayCluster"]["spec"]
    assert spec["authOptions"] == {"mode": "token"}
    secret = [{"secretRef": {"name": "sonogrid-settings"}}]
    assert spec["autoscalerOptions"]["envFrom"] == secret
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        claims = [
            part["persistentVolumeClaim"]["claimName"] for part in pod["volumes"] if "persistentVolumeClaim" in part
        ]
        assert claims == [manifest["PersistentVolumeClaim"]["metadata"]["name"]]
        assert "ReadWriteMany" in manifest["PersistentVolumeClaim"]["spec"]["accessModes"]
        for container in pod["containers"]:
            assert container["envFrom"] == secret
            assert container["resources"]["limits"] == container["resources"]["requests"]
        assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == {"data", "shm"}


def test_pods_answer_only_pods_of_the_cluster(manifest: dict[str, dict[str, Any]]) -> None:
    ours = {"matchLabels": {"ray.io/cluster": manifest["RayCluster"]["metadata"]["name"]}}
    policy = manifest["NetworkPolicy"]["spec"]
    assert policy == {
        "podSelector": ours,
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": ours}]}],
    }
    service = manifest["Service"]
    assert service["spec"]["type"] == "ClusterIP"
    assert service["spec"]["selector"]["ray.io/node-type"] == "head"
    (tracking,) = [
        part
        for part in manifest["RayCluster"]["spec"]["headGroupSpec"]["template"]["spec"]["containers"]
        if part["name"] == "tracking"
    ]
    assert f"{service['metadata']['name']}:5000" in tracking["args"][tracking["args"].index("--allowed-hosts") + 1]


def documented() -> list[list[str]]:
    """Every command of the README and of the files, as words; what `ray exec` and `kubectl exec` run counts too."""
    text = (ROOT / "docs/cluster/README.md").read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"```\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    lines += re.findall(r"`(ray [^`]+)`", text)
    for name in LAUNCHED:
        lines += [part for line in commands(load(name)) for part in re.split(r"; |exec ", line)]
    found = []
    for line in lines:
        found.append(line)
        found += re.findall(r"'((?:ray|sonogrid) [^']+)'", line)
        found += re.findall(r"-- (sonogrid .+)", line)
    return [re.sub(r"^(\w+=\S+ )+", "", line).replace("'", "").replace('"', "").split() for line in found]


@pytest.mark.parametrize("words", [words for words in documented() if words[:1] == ["sonogrid"]], ids=" ".join)
def test_sonogrid_has_every_verb_and_option_that_is_documented(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([words[1], "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for option in [word for word in words if word.startswith("--")]:
        assert re.search(rf"{option}\b", text), f"sonogrid {words[1]} has no {option}"


@pytest.mark.parametrize("words", [words for words in documented() if words[:1] in (["ray"], ["mlflow"])], ids=" ".join)
def test_ray_and_mlflow_have_every_command_and_option_that_is_documented(words: list[str]) -> None:
    command = {"ray": ray_cli, "mlflow": mlflow_cli()}[words[0]].commands[words[1]]
    known = {option for part in command.params if isinstance(part, click.Option) for option in part.opts}
    for option in [word.partition("=")[0] for word in words[2:] if word.startswith("--")]:
        if words[1] == "exec" and option not in known:
            continue  # belongs to the quoted command, which stands for itself
        assert option in known, f"{words[0]} {words[1]} has no {option}"


@cache
def mlflow_cli() -> click.Group:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what MLflow says of its own type hints
        from mlflow.cli import cli
    return cli


def test_the_documented_commands_are_found() -> None:
    starts = {" ".join(words[:2]) for words in documented()}
    assert {
        "ray up",
        "ray exec",
        "ray down",
        "ray start",
        "mlflow server",
        "sonogrid launch",
        "sonogrid report",
    } <= starts


def instructions() -> list[tuple[str, str]]:
    """Instructions of the Dockerfile with what follows them, lines that are continued joined."""
    text = (ROOT / "docs/cluster/Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def test_the_image_is_built_from_the_constraints_with_the_whole_project() -> None:
    names = [name for name, _ in instructions()]
    assert names[0] == "FROM"
    assert {*names} <= {"FROM", "RUN", "WORKDIR", "COPY", "USER"}
    copied = [source for name, rest in instructions() if name == "COPY" for source in rest.split()[:-1]]
    for source in copied:
        assert (ROOT / source).exists(), source
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    modules = {f"{name}.py" for name in project["tool"]["setuptools"]["py-modules"]}
    assert packages | modules | {"pyproject.toml", "constraints.txt", project["project"]["readme"]} == {*copied}
    (install,) = [rest for name, rest in instructions() if name == "RUN" and "pip install" in rest]
    words = shlex.split(install)
    assert words[words.index("--constraint") + 1] == "constraints.txt"
    assert words[-1] == ".[cluster]"
    assert "==3.11" in f"=={dict(instructions())['FROM'].removeprefix('python:')}"
    assert project["project"]["requires-python"].startswith(">=3.11")


def test_kuberay_runs_the_image_as_its_user(manifest: dict[str, dict[str, Any]]) -> None:
    spec = manifest["RayCluster"]["spec"]
    groups = (spec["headGroupSpec"], *spec["workerGroupSpecs"])
    images = {part["image"] for group in groups for part in group["template"]["spec"]["containers"]}
    assert images == {"IMAGE"}, "the name that README.md builds and replaces"
    page = (ROOT / "docs/cluster/README.md").read_text(encoding="utf-8")
    assert "docker build --file docs/cluster/Dockerfile --tag IMAGE ." in page
    users = [rest for name, rest in instructions() if name == "USER"]
    assert users == ["1000"]
    (made,) = [rest for name, rest in instructions() if "useradd" in rest]
    assert made == "useradd --create-home --uid 1000 ray"
    assert "wget" in dict(enumerate(rest for name, rest in instructions() if name == "RUN"))[0], "KubeRay's probes"
