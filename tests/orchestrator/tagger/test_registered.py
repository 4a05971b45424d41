"""Names of registered models; `tracking/test_models.py` loads one."""

from pathlib import Path

import pytest

from features.errors import InputError
from orchestrator.run.bound import Run
from orchestrator.tagger.registered import blend_word, model_uri, read_reference, write_reference
from orchestrator.tagger.tagger import Tagger


def test_a_uri_is_known_also_as_a_path() -> None:
    assert model_uri("models:/demo@champion") == model_uri(Path("models:/demo@champion")) == "models:/demo@champion"
    assert model_uri("models:/demo/1") == "models:/demo/1"
    assert model_uri("runs/models") is None


def test_a_model_that_is_not_there_is_a_sentence(own_mlflow: str) -> None:
    with pytest.raises(
        InputError, match=r"^models:/nobody@champion can't be loaded from MLflow \(.*\): check the name$"
    ):
        Tagger.load("models:/nobody@champion")


def test_a_reference_leads_to_the_run_as_long_as_it_has_that_blend(
    inline_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.json"
    write_reference(path, inline_run)
    monkeypatch.chdir(tmp_path)
    assert read_reference(path) == inline_run.folder.absolute()
    assert inline_run.graph.blend is not None
    assert blend_word(inline_run).startswith(f"{inline_run.graph.blend} ")
    path.write_text(path.read_text().replace(blend_word(inline_run), "another"))
    with pytest.raises(InputError, match="has another blend than the model that refers to it: name its latest"):
        read_reference(path)
    path.write_text('{"run": "gone", "blend": ""}')
    with pytest.raises(InputError, match="the model refers to gone, which can't be read here"):
        read_reference(path)
