"""Taggers in MLflow's model registry: `models:/NAME@champion`, `models:/NAME/VERSION` or `models:/MODEL_ID`.

A model holds a `.tagger` file, or the path of a RUN whose networks were too large to be copied unasked.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.errors import InputError, StoreError
from features.files import read_json, write_json
from features.words import short
from orchestrator.run.bound import Run

__all__ = ["REFERENCE", "blend_word", "model_uri", "read_reference", "registered_file", "write_reference"]

REFERENCE = "run.json"
"""The file of a model that refers to a RUN."""


def model_uri(run: str | Path) -> str | None:
    """The URI of a registered model, if a name is one. As a path, it has lost slashes."""
    found = re.fullmatch(r"models:/+(.+)", str(run))
    return None if found is None else f"models:/{found[1]}"


@contextmanager
def registered_file(uri: str) -> Iterator[Path]:
    """The `.tagger` file of a registered model, while the context lasts, or the RUN that the model refers to.

    Args:
        uri: the model; MLflow finds its registry as it always does, by MLFLOW_TRACKING_URI or MLFLOW_REGISTRY_URI.

    Raises:
        InputError: there is no such model, MLflow cannot be reached, the model is not a tagger, or the RUN has
            another blend now.
    """
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow

    with tempfile.TemporaryDirectory(prefix="sonogrid-") as folder:
        try:
            model = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder))
        except Exception as error:  # whatever the client, the database or the network raises
            raise InputError(f"{uri} can't be loaded from MLflow ({short(str(error), 200)}): check the name") from None
        if references := sorted(model.rglob(f"data/{REFERENCE}")):
            yield read_reference(references[0])
            return
        found = sorted(model.rglob("*.tagger"))
        if len(found) != 1:
            raise InputError(f"{uri} is not a tagger that `sonogrid register` made: name another model")
        yield found[0]


def blend_word(run: Run) -> str:
    """A word for the result of a finished blend, which differs if the blend is computed again."""
    assert run.graph.blend is not None
    node = run.graph.nodes[run.graph.blend]
    return f"{node.signature} {run.store.done(node).started:.3f}"


def write_reference(path: Path, run: Run) -> None:
    """Write a file that refers to the blend of a RUN."""
    write_json(path, {"run": str(run.folder.absolute()), "blend": blend_word(run)})


def read_reference(path: Path) -> Path:
    """The RUN that a file of `write_reference` refers to.

    Raises:
        InputError: there is no such RUN here, or it has another blend now.
    """
    values = read_json(path)
    folder = Path(values["run"])
    try:
        same = blend_word(Run.open(folder)) == values["blend"]
    except (InputError, StoreError) as error:
        raise InputError(
            f"the model refers to {folder}, which can't be read here ({short(str(error), 200)}): register a copy with: "
            f"sonogrid register {folder}"
        ) from None
    if not same:
        raise InputError(f"{folder} has another blend than the model that refers to it: name its latest version")
    return folder
