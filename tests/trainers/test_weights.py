import json
import pickle
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from features.errors import StoreError
from features.files import sha256_file
from trainers.network import Tagger
from trainers.semi import Method
from trainers.settings import ResNetSettings, TrainSettings
from trainers.weights import (
    check_start,
    load_checkpoint,
    load_snapshot,
    read_tensors,
    save_checkpoint,
    save_snapshot,
    start_trunk,
    warm_start,
)

SMALL = ResNetSettings(depth=10, width=4, head_units=8)
SGD = {"lr": 1e-2, "momentum": 0.9, "nesterov": True}
OPTIMIZERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "adam": lambda network: torch.optim.Adam(network.parameters(), lr=1e-2),
    "adam fused": lambda network: torch.optim.Adam(network.parameters(), lr=1e-2, fused=True),
    "sgd": lambda network: torch.optim.SGD(network.parameters(), **SGD),
    "sgd fused": lambda network: torch.optim.SGD(network.parameters(), fused=True, **SGD),
}


def tagger(seed: int, *, noisy_head: bool = True, width: int = 4, classes: int = 6) -> Tagger:
    torch.manual_seed(seed)
    network = Tagger(SMALL.model_copy(update={"width": width}), classes, noisy_head=noisy_head)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def toy() -> tuple[nn.Module, torch.optim.Optimizer]:
    """As small as a network with all kinds of tensors can be."""
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    return network, torch.optim.Adam(network.parameters())


def train_step(network: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    torch.manual_seed(seed)
    optimizer.zero_grad(set_to_none=True)
    network(torch.rand(3, 20, 16) if isinstance(network, Tagger) else torch.rand(3, 2)).square().sum().backward()
    optimizer.step()


def equal(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) and a[name].dtype == b[name].dtype for name in a)


def test_a_snapshot_comes_back(tmp_path: Path) -> None:
    network, path = tagger(0), tmp_path / "sub" / "snapshot-1.safetensors"
    train_step(network, OPTIMIZERS["adam"](network), 1)  # so that batch norm has seen something
    about = {"cycle": 1, "epoch": 2, "fold": 0, "lwlrap": 0.123456789012345678}
    save_snapshot(path, network, about)
    other = tagger(1)
    assert not equal(network, other)
    assert load_snapshot(path, other) == about
    assert equal(network, other)
    x = torch.rand(2, 30, 16)
    assert torch.equal(network.eval()(x), other.eval()(x))
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    save_snapshot(tmp_path / "again.safetensors", other, about)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_checkpoint_comes_back(tmp_path: Path, optimizer: str, steps: int) -> None:
    path = tmp_path / "checkpoint.safetensors"
    network = tagger(0)
    first = OPTIMIZERS[optimizer](network)
    for step in range(steps):
        train_step(network, first, step)
    save_checkpoint(path, network, first, {"epoch": 3, "best_lwlrap": 0.1 + 0.2})
    other = tagger(1)
    second = OPTIMIZERS[optimizer](other)
    assert load_checkpoint(path, other, second)[0] == {"epoch": 3, "best_lwlrap": 0.1 + 0.2}
    assert equal(network, other)
    for step in range(10, 13):  # the optimizer goes on as if nothing had happened
        train_step(network, first, step)
        train_step(other, second, step)
        assert equal(network, other)


@pytest.mark.parametrize(("saved", "loaded"), [(True, True), (False, True), (True, False), (False, False)])
def test_warm_start_takes_what_both_have(tmp_path: Path, saved: bool, loaded: bool) -> None:
    """Given: does the snapshot, does the network have a noisy head."""
    path = tmp_path / "start.safetensors"
    start, network, untouched = tagger(0, noisy_head=saved), tagger(1, noisy_head=loaded), tagger(1, noisy_head=loaded)
    train_step(start, OPTIMIZERS["adam"](start), 1)
    save_snapshot(path, start, {})
    warm_start(path, network)
    assert equal(network.trunk, start.trunk)
    assert equal(network.heads["curated"], start.heads["curated"])
    if loaded:
        assert equal(network.heads["noisy"], (start if saved else untouched).heads["noisy"])


@pytest.mark.parametrize(("width", "classes", "differing"), [(8, 6, "heads.curated.0"), (4, 7, "heads.curated.6")])
def test_warm_start_of_another_network_is_refused(tmp_path: Path, width: int, classes: int, differing: str) -> None:
    path = tmp_path / "start.safetensors"
    save_snapshot(path, tagger(0, width=width, classes=classes), {})
    network, untouched = tagger(1), tagger(1)
    with pytest.raises(StoreError, match=rf"start\.safetensors can't start this network: {differing}.* differs"):
        warm_start(path, network)
    assert equal(network, untouched)
    deeper = Tagger(SMALL.model_copy(update={"depth": 18}), 6, noisy_head=True)
    save_snapshot(path, tagger(0), {})
    with pytest.raises(StoreError, match=r"can't start this network: trunk\..* differs"):
        warm_start(path, deeper)


@pytest.mark.parametrize("kind", ["snapshot", "checkpoint"])
def test_a_trunk_starts_from_a_file_and_heads_afresh(tmp_path: Path, kind: str) -> None:
    path, start = tmp_path / "start.safetensors", tagger(0, classes=9)
    if kind == "snapshot":
        save_snapshot(path, start, {})
    else:
        method = Method(TrainSettings(), None, start, 1, 0)
        save_checkpoint(path, method, torch.optim.Adam(start.parameters()), {})
    network, untouched = tagger(1), tagger(1)
    start_trunk(path, sha256_file(path), network)
    assert equal(network.trunk, start.trunk)
    assert equal(network.heads, untouched.heads)


def test_a_file_that_can_not_start_a_trunk_is_refused(tmp_path: Path) -> None:
    path, network, untouched = tmp_path / "start.safetensors", tagger(1), tagger(1)
    save_snapshot(path, tagger(0, width=8), {})
    with pytest.raises(
        StoreError, match=r"can't start this network: trunk\.stem\.0\.weight is \(8, 1, 7, 7\), not \(4"
    ):
        start_trunk(path, sha256_file(path), network)
    save_snapshot(path, tagger(0).heads, {})
    with pytest.raises(StoreError, match=r"can't start this network: trunk\.stem\.0\.weight is missing, not \(4"):
        start_trunk(path, sha256_file(path), network)
    with pytest.raises(StoreError, match="has changed since the grid was read; launch the grid again"):
        start_trunk(path, "0" * 64, network)
    path.write_bytes(b"not tensors")
    with pytest.raises(StoreError, match=r"network\.init_from: .* is not a safetensors file"):
        start_trunk(path, sha256_file(path), network)
    with pytest.raises(StoreError, match=r"can't be read on this host \(No such file"):
        start_trunk(tmp_path / "none", "0" * 64, network)
    assert equal(network, untouched)


def test_a_header_tells_whether_a_file_can_start_a_trunk(tmp_path: Path) -> None:
    path = tmp_path / "start.safetensors"
    with torch.device("meta"):
        network = Tagger(SMALL, 6, noisy_head=False)
    save_snapshot(path, tagger(0, classes=9), {})
    check_start(path, network)
    optimizer = OPTIMIZERS["adam"](toy()[0])
    save_checkpoint(path, tagger(0), optimizer, {})
    check_start(path, network)
    save_snapshot(path, tagger(0, width=8), {})
    with pytest.raises(StoreError, match=r"network\.init_from: .* trunk\.stem\.0\.weight is \(8, 1, 7, 7\), not \(4"):
        check_start(path, network)
    path.write_bytes(b"not tensors")
    with pytest.raises(StoreError, match="is not a safetensors file"):
        check_start(path, network)
    with pytest.raises(StoreError, match=r"can't be read \(No such file"):
        check_start(tmp_path / "none", network)


def sentence_of(error: pytest.ExceptionInfo[StoreError], path: Path) -> str:
    """The message, which is one line and begins with the file."""
    text = str(error.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    return text


def test_a_snapshot_of_another_network_is_told(tmp_path: Path) -> None:
    path = tmp_path / "snapshot-1.safetensors"
    save_snapshot(path, tagger(0, width=8), {})
    with pytest.raises(StoreError) as error:
        load_snapshot(path, tagger(0))
    assert "holds weights of another network" in sentence_of(error, path)
    save_snapshot(path, tagger(0, noisy_head=False), {})
    with pytest.raises(StoreError) as error:
        load_snapshot(path, tagger(0))
    sentence_of(error, path)


@pytest.mark.parametrize("other", [tagger(0, width=8), tagger(0, noisy_head=False)], ids=["width", "heads"])
def test_a_checkpoint_of_another_network_is_told(tmp_path: Path, other: Tagger) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, other, OPTIMIZERS["adam"](other), {"epoch": 1})
    network = tagger(0)
    with pytest.raises(StoreError) as error:
        load_checkpoint(path, network, OPTIMIZERS["adam"](network))
    assert "is a checkpoint of another network" in sentence_of(error, path)


def test_a_snapshot_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    network = tagger(0)
    save_snapshot(path, network, {"epoch": 1})
    with pytest.raises(StoreError, match="is a checkpoint of another network"):
        load_checkpoint(path, network, OPTIMIZERS["adam"](network))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "snapshot-1.safetensors"
    network = tagger(0)
    for load in (
        lambda: load_snapshot(path, network),
        lambda: warm_start(path, network),
        lambda: load_checkpoint(path, network, OPTIMIZERS["adam"](network)),
    ):
        with pytest.raises(StoreError) as error:
            load()
        assert sentence_of(error, path) == f"{path} is missing"


def test_a_truncated_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    network, optimizer = toy()
    train_step(network, optimizer, 0)
    save_checkpoint(path, network, optimizer, {"epoch": 1})
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(StoreError) as error:
            load_checkpoint(path, *toy())
        assert "is damaged" in sentence_of(error, path)


def test_a_flipped_bit_is_told(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    network, optimizer = toy()
    train_step(network, optimizer, 0)
    save_checkpoint(path, network, optimizer, {"epoch": 3})
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(StoreError) as error:
            read_tensors(path)
        assert "is damaged" in sentence_of(error, path)


@pytest.mark.parametrize(
    "content",
    [b"", b"RIFF....WAVE", b"\xff" * 64, b'{"a": 1}' * 9, bytes(100)],
    ids=["empty", "wav", "all ones", "json", "zeros"],
)
def test_a_foreign_file_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "snapshot-1.safetensors"
    path.write_bytes(content)
    with pytest.raises(StoreError) as error:
        load_snapshot(path, tagger(0))
    assert "is damaged" in sentence_of(error, path)


def test_foreign_safetensors_are_told(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    for metadata in (None, {"format": "pt"}, {"about": "not JSON"}):
        save_file({"w": torch.ones(2)}, path, metadata=metadata)
        with pytest.raises(StoreError, match=r"model\.safetensors is damaged"):
            read_tensors(path)


def test_a_folder_in_the_files_place_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is damaged"):
        read_tensors(tmp_path)


class Bomb:
    """What a hostile pickle would be."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
        return (Path.touch, (Path("exploded"),))


@pytest.mark.parametrize("write", [lambda p: p.write_bytes(pickle.dumps(Bomb())), lambda p: torch.save(Bomb(), p)])
def test_nothing_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], object]) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "snapshot-1.safetensors"
    write(path)
    with pytest.raises(StoreError, match="is damaged"):
        load_snapshot(path, tagger(0))
    assert not Path("exploded").exists()


def test_files_are_plain_safetensors(tmp_path: Path) -> None:
    """A length, a JSON header, then the bytes of the tensors and nothing else."""
    path = tmp_path / "checkpoint.safetensors"
    network, optimizer = toy()
    train_step(network, optimizer, 0)
    save_checkpoint(path, network, optimizer, {"epoch": 1})
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    assert json.loads(header.pop("__metadata__")["about"])["epoch"] == 1
    ends = sorted(entry["data_offsets"] for entry in header.values())
    assert ends[0][0] == 0
    assert all(one[1] == other[0] for one, other in pairwise(ends))
    assert ends[-1][1] == len(content) - 8 - length
    begin, end = header["network.0.bias"]["data_offsets"]
    stored = struct.unpack("<2f", content[8 + length + begin : 8 + length + end])
    assert list(stored) == network.state_dict()["0.bias"].tolist()


def test_a_colleague_can_read_weights_as_any_other_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    save_snapshot(tmp_path / "a.safetensors", tagger(0), {})
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode
