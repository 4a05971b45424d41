import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from features.encoders.encoder import Encoder
from features.encoders.pt2_file import Pt2Network
from features.errors import InputError
from tests.fixtures.encoders import TinyEncoder, write_onnx, write_pt2


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pt2(tmp_path_factory.mktemp("encoder") / "tiny.pt2")


def changed(source: Path, target: Path, change: Callable[[str, bytes], bytes], **more: bytes) -> Path:
    """A copy with other content of its files, and further ones."""
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w") as after:
        for name in before.namelist():
            after.writestr(name, change(name, before.read(name)))
        for name, content in more.items():
            after.writestr(f"tiny/{name}", content)
    return target


def graph_with(source: Path, target: Path, key: str, value: Any) -> Path:
    """A copy whose graph has a value in place of the first one of that key."""

    def put(place: Any) -> bool:
        if isinstance(place, dict):
            if key in place:
                place[key] = value
                return True
            return any(put(inner) for inner in place.values())
        return isinstance(place, list) and any(put(inner) for inner in place)

    def change(name: str, content: bytes) -> bytes:
        if not name.endswith("models/model.json"):
            return content
        graph = json.loads(content)
        assert put(graph)
        return json.dumps(graph).encode()

    return changed(source, target, change)


def test_it_computes_what_the_exported_module_and_onnx_compute(tiny: Path, tmp_path: Path) -> None:
    network = Pt2Network(tiny)
    assert (network.sample_rate_hz, network.window_samples, network.batch) == (8_000, None, None)
    windows = np.random.default_rng(0).uniform(-1, 1, (3, 1_000)).astype(np.float32)
    found = network(windows)
    with torch.no_grad():
        np.testing.assert_array_equal(found, TinyEncoder()(torch.from_numpy(windows)).numpy())
    np.testing.assert_allclose(found, Encoder(write_onnx(tmp_path / "a.onnx"))(windows), atol=1e-5)


def test_a_copy_in_other_hands_is_read_too(tiny: Path, tmp_path: Path) -> None:
    assert Encoder(changed(tiny, tmp_path / "copy.pt2", lambda _, content: content)).dims(1_000) == 32


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("target", "torch.os.system", r"it calls 'torch\.os\.system'"),
        ("target", "_operator.attrgetter.__class__", "it calls"),
        ("target", "#torchbind", "it calls"),
        ("expr_str", "__import__('os').system('true')", "a shape is "),
        ("expr_str", "eval(chr(49))", "a shape is "),
        ("guards_code", ["exec(chr(49)) == 1"], "a condition on its input is more than arithmetic"),
        ("guards_code", ["L['windows'].tolist() == 1"], "a condition on its input is more than arithmetic"),
        ("guards_code", ["torch.os.size() == 1"], "a condition on its input is more than arithmetic"),
    ],
)
def test_a_graph_that_would_run_other_code_is_refused(
    tiny: Path, tmp_path: Path, key: str, value: Any, reason: str
) -> None:
    path = graph_with(tiny, tmp_path / "bad.pt2", key, value)
    with pytest.raises(InputError, match=rf"bad\.pt2 is not a plain export of torch\.export\.save \({reason}"):
        Pt2Network(path)


def test_one_window_is_encoded_as_in_a_batch(tiny: Path) -> None:
    windows = np.random.default_rng(0).uniform(-1, 1, (3, 1_000)).astype(np.float32)
    network = Pt2Network(tiny)
    np.testing.assert_allclose(network(windows[:1]), network(windows)[:1], rtol=1e-5)


class Attentive(torch.nn.Module):
    """A spectrogram without gradient, and attention."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("hann", torch.hann_window(400).clone())
        self.linear = torch.nn.Linear(201, 8)
        self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            parts = torch.stft(windows, 400, 160, window=self.hann, return_complex=True).abs().transpose(1, 2)
        found = self.linear(parts)
        return self.attention(found, found, found)[0].mean(dim=1)


def test_networks_of_other_layers_run(tmp_path: Path) -> None:
    module = Attentive().eval()
    dynamic = {0: torch.export.Dim.DYNAMIC}
    program = torch.export.export(module, (torch.zeros(2, 4_000),), dynamic_shapes=(dynamic,))
    torch.export.save(program, tmp_path / "attentive.pt2")
    windows = np.random.default_rng(0).uniform(-1, 1, (3, 4_000)).astype(np.float32)
    with torch.no_grad():
        expected = module(torch.from_numpy(windows)).numpy()
    np.testing.assert_allclose(Pt2Network(tmp_path / "attentive.pt2")(windows), expected, atol=1e-5)


def test_pickles_and_compiled_code_are_refused_unread(tiny: Path, tmp_path: Path) -> None:
    def touch() -> tuple[Any, ...]:
        return (Path.touch, (tmp_path / "ran",))

    class Bad:
        def __reduce__(self) -> tuple[Any, ...]:
            return touch()

    pickled = io.BytesIO()
    torch.save((Bad(),), pickled)
    sample = changed(
        tiny, tmp_path / "a.pt2", lambda name, content: pickled.getvalue() if "sample_inputs" in name else content
    )
    weights = changed(
        tiny,
        tmp_path / "b.pt2",
        lambda name, content: content.replace(b'"use_pickle": false', b'"use_pickle": true'),
    )
    legacy = changed(tiny, tmp_path / "c.pt2", lambda _, content: content, **{"data/weights/model.pt": pickle.dumps(1)})
    opaque = changed(tiny, tmp_path / "d.pt2", lambda _, content: content, **{"data/constants/opaque_obj_0": b"1"})
    compiled = changed(tiny, tmp_path / "e.pt2", lambda _, content: content, **{"data/aotinductor/model/a.so": b"1"})
    for path in (sample, weights, legacy, opaque, compiled):
        with pytest.raises(InputError, match=rf"{path.name} is not a plain export of torch\.export\.save"):
            Pt2Network(path)
    assert not (tmp_path / "ran").exists()


def test_other_files_are_refused(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.pt2"
    for content in (b"", b"no archive", tiny.read_bytes()[:3_000]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"x\.pt2 is not a plain export of torch\.export\.save"):
            Pt2Network(path)


def test_a_module_of_another_form_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "relu.pt2"
    torch.export.save(torch.export.export(torch.nn.ReLU(), (torch.zeros(2, 3, 4),)), path)
    with pytest.raises(InputError, match=r"relu\.pt2 has 1 inputs \[2, 3, 4\]: an encoder has one input"):
        Pt2Network(path)


def test_a_fixed_batch_is_known(tmp_path: Path) -> None:
    path = tmp_path / "fixed.pt2"
    torch.export.save(torch.export.export(TinyEncoder(), (torch.zeros(1, 4_000),)), path)
    network = Pt2Network(path)
    assert (network.sample_rate_hz, network.window_samples, network.batch) == (None, 4_000, 1)
    assert Encoder(path).dims(4_000) == 32
