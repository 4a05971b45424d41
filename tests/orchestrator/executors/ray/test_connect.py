"""Ray in place: it listens on localhost alone, and signals stay with the caller."""

import os
import signal
from collections.abc import Iterator

import psutil
import pytest
import ray
from ray._private import ray_constants

from features.errors import InputError
from orchestrator.executors.ray.connect import check_address, connect
from orchestrator.executors.ray.train import fast_start_environment


@pytest.fixture(scope="module")
def in_place() -> Iterator[list[int]]:
    """Ray in place; numbers of the signals that reached the caller."""
    got: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: got.append(number))
    fast_start_environment()
    assert connect(None) == set()
    yield got
    ray.shutdown()
    signal.signal(signal.SIGTERM, before)


@pytest.mark.ray
def test_ray_in_place_listens_on_localhost_alone(in_place: list[int]) -> None:
    @ray.remote
    def where() -> str:
        return str(ray.util.get_node_ip_address())

    assert ray.get(where.remote()) == "127.0.0.1"
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    open_to = {
        (process.name(), connection.laddr.ip)
        for process in processes
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert len(open_to) >= 4
    assert {ip.removeprefix("::ffff:") for _, ip in open_to} == {"127.0.0.1"}, open_to
    assert ray_constants.ENABLE_RAY_CLUSTER, "a later connection to a cluster uses the machine's address"
    assert os.environ.get(ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR) is None


@pytest.mark.ray
def test_a_termination_reaches_the_caller_without_a_stack_of_rays(
    in_place: list[int], capfd: pytest.CaptureFixture[str]
) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    assert in_place == [signal.SIGTERM]
    assert "SIGTERM received" not in capfd.readouterr().err


@pytest.mark.parametrize("address", ["ray://h:10001", "http://h:8265"])
def test_an_address_that_runs_no_grid_from_here_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="--address"):
        check_address(address)
    check_address("auto")
    check_address(None)
