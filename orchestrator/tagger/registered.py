"""Taggers in MLflow's model registry: `models:/NAME@champion`, `models:/NAME/VERSION` or `models:/MODEL_ID`."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.errors import InputError
from features.words import short

__all__ = ["model_uri", "registered_file"]


def model_uri(run: str | Path) -> str | None:
    """The URI of a registered model, if a name is one. As a path, it has lost slashes."""
    found = re.fullmatch(r"models:/+(.+)", str(run))
    return None if found is None else f"models:/{found[1]}"


@contextmanager
def registered_file(uri: str) -> Iterator[Path]:
    """The `.tagger` file of a registered model, while the context lasts.

    Args:
        uri: the model; MLflow finds its registry as it always does, by MLFLOW_TRACKING_URI or MLFLOW_REGISTRY_URI.

    Raises:
        InputError: there is no such model, MLflow cannot be reached, or the model is not a tagger.
    """
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow

    with tempfile.TemporaryDirectory(prefix="sonogrid-") as folder:
        try:
            model = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder))
        except Exception as error:  # whatever the client, the database or the network raises
            raise InputError(f"{uri} can't be loaded from MLflow ({short(str(error), 200)}): check the name") from None
        found = sorted(model.rglob("*.tagger"))
        if len(found) != 1:
            raise InputError(f"{uri} is not a tagger that `sonogrid register` made: name another model")
        yield found[0]
