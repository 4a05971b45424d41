"""The blend of a run, or a condition such as a student, as a model of MLflow: logged with scores and data, registered.

The model is a `.tagger` file, or the path of RUN where a launch would have to copy much; `orchestrator.tagger.served`
loads both, and unpickles nothing. Registering a result again finds the version that it has.
"""

import io
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import soundfile

from features.errors import SonogridError, StoreError, TrackingError
from orchestrator.blending.members import stitch
from orchestrator.blending.result import Blend, BlendResult
from orchestrator.redact import one_line, redact
from orchestrator.report.scores import predictions_of
from orchestrator.run.bound import Run
from orchestrator.tagger.calibration import Calibration
from orchestrator.tagger.members import calibrate, member_weights
from orchestrator.tagger.package import write_package
from orchestrator.tagger.registered import REFERENCE, blend_word, write_reference
from orchestrator.tagger.served import AUDIO
from orchestrator.tagger.tagger import Tagger
from orchestrator.tracking.connection import Place, connect
from orchestrator.tracking.facts import Facts
from orchestrator.tracking.mirror import bring_up_to_date
from orchestrator.tracking.runs import Runs, condition_key
from trainers.lwlrap import lwlrap

__all__ = ["CHAMPION", "Registered", "register", "register_new"]

CHAMPION = "champion"
COPIED_BYTES = 500_000_000
"""Largest size of the networks of a blend that a launch copies to MLflow without being asked."""
LOADER = "orchestrator.tagger.served"
SCORE = "sonogrid.clean_lwlrap"
DATA = "sonogrid.data"
LEAKY = "sonogrid.leaky"
DATASET = "sonogrid.dataset"
"""Tag of a registered model: the name of the dataset that its versions learned from."""
RESULT = "sonogrid.result"
COPIED = "sonogrid.copied"
"""Tags of a version: its out-of-fold lwlrap (of a blend, nested), the hash of its dataset, whether that score is leaky,
a word for the result, and whether MLflow has the networks or only the path of RUN."""
Made = TypeVar("Made")


@dataclass(frozen=True)
class Registered:
    """A version in the registry."""

    name: str
    version: str
    score: float
    """Out-of-fold lwlrap; of a blend, nested."""
    champion: bool
    """Whether it is the champion now."""
    reason: str
    """Why, or why not."""
    copied: bool = True
    """Whether MLflow has the networks; otherwise it refers to RUN."""

    def __str__(self) -> str:
        part = "champion" if self.champion else "not champion"
        return f"{self.name} v{self.version}, {part} (lwlrap {self.score:.4f}, {self.reason})"

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


def register(run: Run, condition: str | None = None) -> Registered:
    """Bring MLflow up to date, log a tagger as a model and register it under the name of the grid.

    If that name belongs to a dataset of another name, it is registered as GRID.DATASET.

    It gets the alias `champion` if its out-of-fold lwlrap, of a blend the nested one, is higher than that of the
    champion before it, on the same dataset, and not leaky.

    Args:
        run: a run.
        condition: all members of this condition, registered as GRID-CONDITION; by default the blend.

    Raises:
        InputError: there is no such condition.
        StoreError: the blend or the condition is not done yet.
        TrackingError: MLflow can't be reached, or refuses to take something.
    """
    _require_done(run, condition)  # before MLflow is asked for anything
    bring_up_to_date(run)
    return _asked(run, condition, lambda registration: registration.register(copied=True))


def register_new(run: Run, condition: str | None = None) -> Registered | None:
    """Register a finished blend or condition as `register` does, unless it has a version; MLflow is up to date.

    If the networks of a blend are larger than `COPIED_BYTES`, MLflow gets the path of RUN instead of a copy.

    Raises:
        StoreError: a file of the store is missing or damaged.
        TrackingError: MLflow can't be reached, or refuses to take something.
    """
    return _asked(run, condition, lambda registration: registration.register_new())


def _require_done(run: Run, condition: str | None) -> None:
    member_weights(run, condition)
    if condition is not None and predictions_of(run, condition) is None:
        raise StoreError(f"{run.folder}: {condition} is not done yet; finish it with: sonogrid resume {run.folder}")


def _asked(run: Run, condition: str | None, work: Callable[["_Registration"], Made]) -> Made:
    try:
        return work(_Registration(run) if condition is None else _OfCondition(run, condition))
    except SonogridError:
        raise
    except Exception as error:  # whatever the client, the database or the network raises
        raise TrackingError(
            f"MLflow at {redact(Place.of(run.folder).uri)} did not register {condition or 'the blend'} "
            f"({type(error).__name__}: {one_line(error)}); try again"
        ) from None


class _Registration:
    """Of the blend."""

    what = "blend"
    condition: str | None = None

    def __init__(self, run: Run) -> None:
        self.run, self.place = run, Place.of(run.folder)
        self.client = connect(self.place)
        self.tags = {
            SCORE: f"{self.score:.6f}",
            DATA: run.manifest.content_hash()[:36],
            LEAKY: str(self.what in run.leaky).lower(),
            RESULT: self.word,
        }

    @cached_property
    def name(self) -> str:
        """GRID, or GRID.DATASET if GRID belongs to a dataset of another name; of a condition, then -CONDITION."""
        grid, suffix = self.run.recipe.name, f"-{self.condition}" if self.condition else ""
        owner = self._dataset_of(grid + suffix)
        return grid + suffix if owner in (None, self._dataset) else f"{grid}.{self._dataset}{suffix}"

    @property
    def _dataset(self) -> str:
        return self.run.data_root.name.replace(":", "-")  # which MLflow allows in no name of a model

    def _dataset_of(self, name: str) -> str | None:
        """The dataset of a registered model; None if there is no such model, or an older version made it."""
        from mlflow.exceptions import MlflowException

        try:
            tags = self.client.get_registered_model(name).tags
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise  # an outage does not mean that there is no such model
        dataset: str | None = tags.get(DATASET)
        return dataset

    @cached_property
    def _blend(self) -> BlendResult:
        return Blend.read(self.run.store.results(self.run.graph.nodes[self.key])).result

    @property
    def key(self) -> str:
        """The key of the run in MLflow that it belongs to."""
        assert self.run.graph.blend is not None
        return self.run.graph.blend

    @property
    def word(self) -> str:
        """A word for the result."""
        return blend_word(self.run)

    @property
    def scores(self) -> dict[str, float | None]:
        """Scores by name."""
        return self._blend.scores()

    @property
    def score(self) -> float:
        """The clean one."""
        return self._blend.oof_lwlrap_nested

    @property
    def params(self) -> dict[str, str]:
        """What the model consists of."""
        members = sum(weight > 0 for weight in self._blend.weights)
        return {"members": str(members), "predictions": str(self._blend.predictions)}

    def register_new(self) -> Registered | None:
        """Register it unless it has a version, without copying much."""
        return None if self._versions() else self.register(copied=self._size() <= COPIED_BYTES)

    def register(self, *, copied: bool) -> Registered:
        """Find its version or make one, and compare it with the champion.

        Args:
            copied: whether MLflow gets the networks or the path of RUN.
        """
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(self.name, {DATASET: self._dataset})
        except MlflowException:  # it is there
            self.client.get_registered_model(self.name)
        same = [found for found in self._versions() if not copied or found.tags.get(COPIED) != "false"]
        version = str((same[0] if same else self._new_version(copied=copied)).version)
        try:
            before = self.client.get_model_version_by_alias(self.name, CHAMPION)
        except MlflowException:  # nobody is
            before = None
        champion, reason = _verdict(self.tags, None if before is None else before.tags)
        if before is not None and before.tags.get(RESULT) == self.tags[RESULT]:
            champion, reason = True, "it was before"
        if champion:
            self.client.set_registered_model_alias(self.name, CHAMPION, version)
        return Registered(self.name, version, self.score, champion, reason, copied)

    def _versions(self) -> list[Any]:
        """The versions that this result has already."""
        found = self.client.search_model_versions(f"name = '{self.name}'")
        return [version for version in found if version.tags.get(RESULT) == self.tags[RESULT]]

    def _size(self) -> int:
        """Bytes of the snapshots of all conditions with a weight."""
        graph, store = self.run.graph, self.run.store
        names = {member.condition for member in member_weights(self.run)}
        return sum(store.done(graph.nodes[node]).n_bytes for (name, _), node in graph.train.items() if name in names)

    @cached_property
    def _calibration(self) -> Calibration:
        return calibrate(self.run, member_weights(self.run, self.condition), whole=self.condition is None)

    def _new_version(self, *, copied: bool) -> Any:
        """Log the model under its run, and register it."""
        tags = {**self.tags, COPIED: str(copied).lower()}
        run_id = Runs.of_experiment(self.run.recipe.name, self.place)[self.key].id
        experiment = self.client.get_run(run_id).info.experiment_id
        logged = self.client.create_logged_model(
            experiment, self.what, run_id, tags=tags, params=self.params, model_type="audio tagging"
        )
        with tempfile.TemporaryDirectory(prefix="sonogrid-") as folder:
            model = self._save(Path(folder), logged.model_id, run_id, copied=copied)
            self.client.log_model_artifacts(logged.model_id, str(model))
        self.client.finalize_logged_model(logged.model_id, "READY")
        self._link(run_id, logged.model_id)
        return self.client.create_model_version(
            self.name, f"models:/{logged.model_id}", run_id, tags=tags, model_id=logged.model_id
        )

    def _save(self, folder: Path, model_id: str, run_id: str, *, copied: bool) -> Path:
        """Write the model in MLflow's form to a folder."""
        import mlflow
        from mlflow.models import Model, ModelSignature
        from mlflow.types import ColSpec, Schema

        classes = self.run.manifest.classes
        if copied:
            data = folder / f"{self.what}.tagger"
            facts = {"grid": self.run.recipe.name, "signature": self.key, "sonogrid": version_of("sonogrid")}
            conditions = Tagger.load(self.run.folder, "cpu", condition=self.condition).conditions
            write_package(data, classes, conditions, self._calibration, facts | self.tags, "fp32")
        else:
            data = folder / REFERENCE
            write_reference(data, self.run)
        signature = ModelSignature(
            Schema([ColSpec("binary", AUDIO)]), Schema([ColSpec("double", name) for name in classes])
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow warns of its own classes and of its own use of pandas
            mlflow.pyfunc.save_model(
                folder / "model",
                loader_module=LOADER,
                data_path=data,
                mlflow_model=Model(run_id=run_id, model_id=model_id),
                signature=signature,
                input_example=pd.DataFrame({AUDIO: [_example()]}),
                pip_requirements=[f"sonogrid=={version_of('sonogrid')}"],
            )
        return folder / "model"

    def _link(self, run_id: str, model_id: str) -> None:
        """Tie model, run, dataset and scores together."""
        from mlflow.entities import LoggedModelOutput

        data, digest, *_ = Facts(self.run).dataset  # the mirror has noted it as the run's input
        self.client.log_outputs(run_id, [LoggedModelOutput(model_id, 0)])
        reliability = self._calibration.after
        scores = self.scores | {
            "brier": reliability.brier, "calibration_error": reliability.calibration_error,
        }  # fmt: skip
        for name, value in scores.items():
            if value is not None:
                self.client.log_metric(run_id, name, value, dataset_name=data, dataset_digest=digest, model_id=model_id)


class _OfCondition(_Registration):
    """Of all members of a condition, always with a copy of its networks."""

    def __init__(self, run: Run, condition: str) -> None:
        self.what = self.condition = condition
        super().__init__(run)

    @property
    def key(self) -> str:
        return condition_key(self.run, self.what)

    @property
    def word(self) -> str:
        graph, folds = self.run.graph, range(self.run.recipe.data.folds)
        nodes = [graph.nodes[graph.train[self.what, fold]] for fold in folds]
        return f"{self.key} {max(self.run.store.done(node).started for node in nodes):.3f}"

    @property
    def scores(self) -> dict[str, float | None]:
        return {"oof_lwlrap": self.score}

    @cached_property
    def score(self) -> float:
        folders = predictions_of(self.run, self.what)
        assert folders is not None
        found = stitch({self.what: folders}, self.run.manifest)
        return float(lwlrap(self.run.manifest.targets("curated"), found.oof.mean(axis=0)))

    @property
    def params(self) -> dict[str, str]:
        members = len(member_weights(self.run, self.what))
        return {"members": str(members), "predictions": str(members * self.run.recipe.data.folds)}

    def register_new(self) -> Registered | None:
        return None if self._versions() else self.register(copied=True)


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
