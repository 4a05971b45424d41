"""Every tensor of a training step is on the job's device, and nothing in a step waits for it or copies in pieces.

Runs without a GPU: under `FakeTensorMode` tensors have a device and a shape, but no values. A host tensor in device
code, a value that is read (`.item()`, `.cpu()`, `bool()`) and a shape that depends on values each raise there. Backward
passes and optimizers need the driver of a real device.
"""

import inspect
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import trainers.semi
import trainers.transfer
from orchestrator.grids.load import load_grid
from trainers.clips import ClipBank, MemoryClips
from trainers.losses import FUNCTIONS
from trainers.network import Tagger
from trainers.parallel import Group
from trainers.predict import predict
from trainers.registry import AUGMENTATIONS, LOSSES
from trainers.semi import make_method
from trainers.settings import TrainSettings
from trainers.streams import Pool, Stream
from trainers.sums import LossSums

CUDA = torch.device("cuda")
CLASSES = 80
PAPER = load_grid("paper")
RELEASED = load_grid("paper", overlays=["released"])
SEMI = ("self-training", "mean-teacher", "mixmatch")
FEW = ("c2", "A", "B", "C", "D")
CONDITIONS = [name if name in FEW else pytest.param(name, marks=pytest.mark.long) for name in PAPER.conditions]
RESIDENT = pytest.mark.parametrize("resident", [True, False], ids=["resident", "streamed"])


class NoReads(TorchDispatchMode):
    """Refuses what copies a tensor from the device to the host, which waits for all queued work."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        results = func(*args, **(kwargs or {}))

        def devices(values: Any) -> set[str]:
            return {value.device.type for value in tree_leaves(values) if isinstance(value, Tensor)}

        copied = "cuda" in devices((args, kwargs)) and "cpu" in devices(results)
        assert not copied, f"{func} copies from the device to the host"
        return results


class Copies(TorchDispatchMode):
    """Counts copies from the host to the device; refuses those that wait."""

    pinned: ClassVar[list[Tensor]] = []

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        results = func(*args, **(kwargs or {}))
        given = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        made_there = any(isinstance(value, Tensor) and value.device.type == "cuda" for value in tree_leaves(results))
        from_host = [value for value in given if value.device.type == "cpu" and (value.dim() or "copy" in str(func))]
        if made_there and from_host:
            assert (kwargs or {}).get("non_blocking"), f"{func} copies to the device and waits"
            assert all(any(value is each for each in self.pinned) for value in from_host), "copied memory is pinned"
            self.count += 1
        return results


@pytest.fixture(autouse=True)
def _without_values(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fake tensors, which have no memory to share with an array: what is sent is written to an array of its own."""

    def pinned_memory(size: int) -> tuple[Tensor, np.ndarray]:
        Copies.pinned.append(torch.zeros(size, dtype=torch.uint8))
        return Copies.pinned[-1], np.zeros(size, np.uint8)

    monkeypatch.setattr(Copies, "pinned", [])
    monkeypatch.setattr(trainers.transfer, "pinned_memory", pinned_memory)
    with FakeTensorMode(), NoReads():
        yield


def bank_of(settings: TrainSettings, *, resident: bool) -> ClipBank:
    """A clip shorter than the crop and a longer one."""
    lengths = (settings.crops[0] // 2, 2 * settings.crops[-1])
    shapes = [(length, 128) if settings.feature_kind == "mel" else (length,) for length in lengths]
    dtype = np.float32 if settings.feature_kind == "mel" else np.int16
    clips = MemoryClips([np.ones(shape, dtype) for shape in shapes])
    return ClipBank(clips, CUDA, resident_bytes=10**12 if resident else 0)


def streams_of(settings: TrainSettings, *, resident: bool, views: int = 0) -> dict[str, Stream]:
    bank = bank_of(settings, resident=resident)
    pool = Pool(bank, np.arange(2), torch.zeros(2, CLASSES, device=CUDA))
    pools = {"curated": [pool]} | ({"noisy": [pool]} if settings.multitask else {})
    pools |= {"pseudo": [pool, pool]} if settings.pseudo else {}
    streams = {name: (name, 0) for name in pools} | {f"view {view}": ("unlabelled", view) for view in range(views)}
    return {
        title: Stream(
            name, pools.get(name, [pool]), crop=settings.crop, batch_size=settings.batch_size,
            augmentations=settings.augment, seed=0, padding=settings.padding, view=view,
            partners=settings.pseudo.partners if settings.pseudo else "balanced",
        )
        for title, (name, view) in streams.items()
    }  # fmt: skip


def take_a_step(settings: TrainSettings, *, resident: bool) -> int:
    """Batches, forward passes, losses and their sums, as `trainers.loop` puts them together; returns the copies."""
    # Batch norm in training mode counts its batches on the device of its weights: the network is made there.
    with CUDA:
        bands = 128 if settings.feature_kind == "mel" else None
        network = Tagger(settings.network, CLASSES, noisy_head=settings.multitask, bands=bands).train()
    method = make_method(settings, network, 10, seed=0)
    streams = streams_of(settings, resident=resident, views=method.views)
    views = [stream for title, stream in streams.items() if title.startswith("view")]
    step = 10 * settings.total_epochs - 1  # after every ramp
    losses = {"curated": settings.loss, "noisy": settings.noisy_loss}
    losses |= {"pseudo": settings.pseudo.loss} if settings.pseudo else {}
    losses |= {name: loss for name, (loss, _) in method.terms(step).items()}
    names = losses.keys() - (set() if settings.multitask else {"noisy"})
    sums, group = LossSums([*names], CUDA), Group()
    with Copies() as copies:
        labelled = {title: stream.batch(step) for title, stream in streams.items() if not title.startswith("view")}
        batches = method.batches(labelled, [view.batch(step)[0] for view in views], step)
        assert batches.keys() == names
        for name, (x, y) in batches.items():
            assert (x.device.type, y.device.type) == ("cuda", "cuda")
            with group.share(len(x)) as share:
                logits = network(x[share.rows], "noisy" if name == "noisy" else "curated")
            assert logits.dtype == torch.float32
            loss = FUNCTIONS[losses[name]](logits, y[share.rows], network.activation)
            assert (loss.device.type, loss.shape) == ("cuda", ())
            sums.add(name, loss, step)
        method.after_step(step)
    return copies.count


@RESIDENT
@pytest.mark.parametrize("name", CONDITIONS)
def test_conditions_of_the_paper(name: str, resident: bool) -> None:
    small = {"batch_size": 2}
    for grid in (PAPER, RELEASED):
        settings = grid.conditions[name].train.model_copy(update=small)
        assert take_a_step(settings, resident=resident) == len(settings.streams), "one copy per stream"


@RESIDENT
@pytest.mark.parametrize("padding", ["zeros", "repeat"])
@pytest.mark.parametrize(
    "network",
    [
        {"kind": "pooled"},
        {"kind": "pooled", "head_units": 8},
        {"kind": "resnet", "depth": 10, "width": 4, "statistics": True},
        {"kind": "seresnext", "width": 4, "statistics": ["mean", "difference"]},
    ],
    ids=["pooled", "pooled with hidden layers", "resnet with statistics", "seresnext with statistics"],
)
def test_statistics_over_time(network: dict[str, Any], padding: str, resident: bool) -> None:
    settings = {"network": network, "crop": 64, "batch_size": 2, "padding": padding, "multitask": True}
    take_a_step(TrainSettings.model_validate({**settings, "augment": {"mixup": {}}}), resident=resident)


@pytest.mark.parametrize("overlay", SEMI)
def test_semi_supervised_methods(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_grid("paper", overlays=[overlay]).conditions["B"].train

    def another(network: Tagger) -> Tagger:
        """Fake tensors have nothing to copy."""
        with CUDA:
            return Tagger(settings.network, CLASSES, noisy_head="noisy" in network.heads).train()

    monkeypatch.setattr(trainers.semi, "copy", SimpleNamespace(deepcopy=another))
    copies = take_a_step(settings.model_copy(update={"batch_size": 2}), resident=True)
    assert copies == len(settings.streams) + {"self-training": 1, "mean-teacher": 2, "mixmatch": 3}[overlay]


@RESIDENT
@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name, known in AUGMENTATIONS.items() for kind in known.inputs]
)
def test_augmentations(name: str, kind: str, resident: bool) -> None:
    network, crop = ({"kind": "resnet", "depth": 10, "width": 4}, 64) if kind == "mel" else ({"kind": "envnet"}, 20_600)
    declared = AUGMENTATIONS[name].parameters
    chosen: dict[str, Any] = {name: {"p": 1} if "p" in declared else {}}
    for padding in ("zeros", "repeat"):
        settings = TrainSettings.model_validate(
            {
                "network": network,
                "crop": crop,
                "batch_size": 3,
                "padding": padding,
                "augment": chosen,
            }
        )
        (stream,) = streams_of(settings, resident=resident).values()
        x, y = stream.batch(1)
        assert (x.device.type, y.device.type) == ("cuda", "cuda")
        assert (len(x), x.shape[1], len(y)) == (3, crop, 3)


@RESIDENT
def test_prediction_waits_after_its_last_batch_alone(resident: bool) -> None:
    settings = TrainSettings.model_validate({"network": {"kind": "resnet", "depth": 10, "width": 4}, "crop": 64})
    with CUDA:
        network = Tagger(settings.network, CLASSES, noisy_head=False, bands=128)
    bank = bank_of(settings, resident=resident)
    batches: list[str] = []
    bare = inspect.unwrap(predict)  # fake tensors don't work in inference mode
    with torch.no_grad(), pytest.raises(AssertionError, match="copies from the device"):
        bare([network, network], bank, np.arange(2), [0, 4], progress=lambda: batches.append("done"))
    assert len(batches) == 2, "clips of two lengths: the scores are copied to the host once, when all are there"


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str) -> None:
    logits, targets = torch.zeros(4, CLASSES, device=CUDA), torch.zeros(4, CLASSES, device=CUDA)
    activation = LOSSES[name].needs or "sigmoid"
    assert FUNCTIONS[name](logits, targets, activation).device.type == "cuda"


def test_what_this_would_find() -> None:
    """The test can fail: a host tensor, a value that is read, a shape that depends on values."""
    x = torch.zeros(4, device=CUDA)
    with pytest.raises(RuntimeError, match="device"):
        x + torch.zeros(4)
    with pytest.raises(Exception, match="_local_scalar_dense"):
        float(x.sum())
    with pytest.raises(AssertionError, match="copies from the device"):
        x.cpu()
    with Copies(), pytest.raises(AssertionError, match="copies to the device and waits"):
        torch.as_tensor(np.ones(3), device=CUDA)
    with Copies(), pytest.raises(AssertionError, match="copies to the device and waits"):
        x[:3] = torch.ones(3)
    with Copies(), pytest.raises(AssertionError, match="is pinned"):
        torch.ones(3).to(CUDA, non_blocking=True)
    with pytest.raises(Exception, match=r"nonzero|dynamic"):
        x[x > 0]
