"""Names of registered models; `tracking/test_models.py` loads one."""

from pathlib import Path

import pytest

from features.errors import InputError
from orchestrator.tagger.registered import model_uri
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
