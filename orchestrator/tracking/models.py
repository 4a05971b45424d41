"""The blend of a run as a model of MLflow: logged with its scores and data, and registered.

The model is a `.tagger` file, which `orchestrator.tagger.served` loads; nothing of it is unpickled. Registering a blend
again finds the version that it has.
"""

import io
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile

from features.errors import SonogridError, TrackingError
from orchestrator.blending.result import Blend
from orchestrator.redact import one_line, redact
from orchestrator.run.bound import Run
from orchestrator.store.node import Node
from orchestrator.tagger.package import write_package
from orchestrator.tagger.served import AUDIO
from orchestrator.tagger.tagger import Tagger
from orchestrator.tracking.connection import tracking_uri
from orchestrator.tracking.mirror import bring_up_to_date
from orchestrator.tracking.runs import Runs

__all__ = ["CHAMPION", "Registered", "register"]

CHAMPION = "champion"
LOADER = "orchestrator.tagger.served"
SCORE = "sonogrid.oof_lwlrap_nested"
DATA = "sonogrid.data"
LEAKY = "sonogrid.leaky"
RESULT = "sonogrid.result"
"""Tags of a version: its clean score, the hash of its dataset, whether that score is leaky, and the blend's result."""


@dataclass(frozen=True)
class Registered:
    """A version in the registry."""

    name: str
    version: str
    score: float
    """Nested out-of-fold lwlrap."""
    champion: bool
    """Whether it is the champion now."""
    reason: str
    """Why, or why not."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


def register(run: Run) -> Registered:
    """Bring MLflow up to date, log the blend as a model and register it under the name of the grid.

    It gets the alias `champion` if its nested out-of-fold lwlrap is higher than that of the champion before it, on the
    same dataset, and not leaky.

    Raises:
        StoreError: the blend is not done yet.
        TrackingError: MLflow can't be reached, or refuses to take something.
    """
    tagger = Tagger.load(run.folder, "cpu")
    bring_up_to_date(run)
    try:
        return _Registration(run, tagger).register()
    except SonogridError:
        raise
    except Exception as error:  # whatever the client, the database or the network raises
        raise TrackingError(
            f"MLflow at {redact(tracking_uri())} did not register the blend ({type(error).__name__}: "
            f"{one_line(error)}); try again"
        ) from None


class _Registration:
    def __init__(self, run: Run, tagger: Tagger) -> None:
        from orchestrator.tracking.connection import connect

        assert run.graph.blend is not None
        self.run, self.tagger = run, tagger
        self.node: Node = run.graph.nodes[run.graph.blend]
        self.name = run.recipe.name
        self.client = connect()
        self.blend = Blend.read(run.store.results(self.node)).result
        self.tags = {
            SCORE: f"{self.blend.oof_lwlrap_nested:.6f}",
            DATA: run.manifest.content_hash()[:36],
            LEAKY: str("blend" in run.leaky).lower(),
            RESULT: f"{self.node.signature} {run.store.done(self.node).started:.3f}",
        }

    def register(self) -> Registered:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(self.name)
        except MlflowException:  # it is there
            self.client.get_registered_model(self.name)
        versions = self.client.search_model_versions(f"name = '{self.name}'")
        same = next((found for found in versions if found.tags.get(RESULT) == self.tags[RESULT]), None)
        version = str(self._new_version().version if same is None else same.version)
        try:
            before = self.client.get_model_version_by_alias(self.name, CHAMPION)
        except MlflowException:  # nobody is
            before = None
        champion, reason = _verdict(self.tags, None if before is None else before.tags)
        if before is not None and str(before.version) == version:
            champion, reason = True, "it was before"
        elif champion:
            self.client.set_registered_model_alias(self.name, CHAMPION, version)
        return Registered(self.name, version, self.blend.oof_lwlrap_nested, champion, reason)

    def _new_version(self) -> Any:
        """Log the model under the blend's run, and register it."""
        run_id = Runs.of_experiment(self.name)[self.node.signature].id
        experiment = self.client.get_run(run_id).info.experiment_id
        params = {"members": str(sum(weight > 0 for weight in self.blend.weights))}
        params["predictions"] = str(self.blend.predictions)
        logged = self.client.create_logged_model(
            experiment, "blend", run_id, tags=self.tags, params=params, model_type="audio tagging"
        )
        with tempfile.TemporaryDirectory(prefix="sonogrid-") as folder:
            model = self._save(Path(folder), logged.model_id, run_id)
            self.client.log_model_artifacts(logged.model_id, str(model))
        self.client.finalize_logged_model(logged.model_id, "READY")
        self._link(run_id, logged.model_id)
        return self.client.create_model_version(
            self.name, f"models:/{logged.model_id}", run_id, tags=self.tags, model_id=logged.model_id
        )

    def _save(self, folder: Path, model_id: str, run_id: str) -> Path:
        """Write the model in MLflow's form to a folder."""
        import mlflow
        from mlflow.models import Model, ModelSignature
        from mlflow.types import ColSpec, Schema

        package = folder / "blend.tagger"
        facts = {"grid": self.name, "signature": self.node.signature, "sonogrid": version_of("sonogrid"), **self.tags}
        tagger = self.tagger
        write_package(package, tagger.classes, tagger.conditions, tagger.calibration, facts, "fp32")
        signature = ModelSignature(
            Schema([ColSpec("binary", AUDIO)]), Schema([ColSpec("double", name) for name in tagger.classes])
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow warns of its own classes and of its own use of pandas
            mlflow.pyfunc.save_model(
                folder / "model",
                loader_module=LOADER,
                data_path=package,
                mlflow_model=Model(run_id=run_id, model_id=model_id),
                signature=signature,
                input_example=pd.DataFrame({AUDIO: [_example()]}),
                pip_requirements=[f"sonogrid=={version_of('sonogrid')}"],
            )
        return folder / "model"

    def _link(self, run_id: str, model_id: str) -> None:
        """Tie model, run, dataset and scores together."""
        from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput

        data = Dataset(self.run.data_root.name, self.tags[DATA], "local", str(self.run.data_root))
        self.client.log_inputs(run_id, [DatasetInput(data, [InputTag("mlflow.data.context", "training")])])
        self.client.log_outputs(run_id, [LoggedModelOutput(model_id, 0)])
        calibration = self.tagger.calibration
        scores = self.blend.scores() | {
            "brier": calibration.after.brier, "calibration_error": calibration.after.calibration_error,
        }  # fmt: skip
        for name, value in scores.items():
            if value is not None:
                self.client.log_metric(
                    run_id, name, value, dataset_name=data.name, dataset_digest=data.digest, model_id=model_id
                )


def _verdict(tags: Mapping[str, str], before: Mapping[str, str] | None) -> tuple[bool, str]:
    """Whether a version becomes champion, given its tags and those of the champion, and why."""
    if tags[LEAKY] == "true":
        return False, "its score is leaky"
    if before is None:
        return True, "it is the first"
    if before.get(DATA) != tags[DATA]:
        return False, "the champion was scored on other data, so the two can't be compared"
    if float(tags[SCORE]) > float(before.get(SCORE, 0)):
        return True, f"better than {float(before.get(SCORE, 0)):.4f} before"
    return False, f"the champion has {float(before.get(SCORE, 0)):.4f}"


def _example() -> bytes:
    """A WAV file of a tenth of a second."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros(1_600, np.int16), 16_000, format="WAV", subtype="PCM_16")
    return file.getvalue()
