"""The tagger of a run: what is refused. Files, servers and models have tests of their own."""

from pathlib import Path

import pytest

from features.errors import InputError
from orchestrator import api
from orchestrator.run.bound import Run


def test_what_can_be_no_tagger_is_refused(inline_run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.onnx, \.pt2"):
        api.export(inline_run.folder, tmp_path / "tagger.zip")
    with pytest.raises(InputError, match="there is no condition 'Z'"):
        api.register(inline_run.folder, condition="Z")
    with pytest.raises(InputError, match="holds no run"):
        api.serve(tmp_path)
    assert list(tmp_path.iterdir()) == []
