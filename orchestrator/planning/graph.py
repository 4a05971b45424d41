"""The graph of a grid: one node with a signature for each piece of work.

    shard (features of some clips) ──> train (condition x fold) ──> predict (condition x fold) ──> blend
                                          ^        ^        │
                                          │        │        └── predict-noisy, only of teachers
                                          │        ├── init: train of another condition, same fold
                                          │        └── distill (labels of a fold) <── predict-trained of its teachers
                                          └── pseudo (labels of a fold) <── predict-noisy of the teacher,
                                                                      or of the same condition's round before

A student learns from a *distill* node: the labels of the clips that a fold trains on, by the models of its teachers
that held out this fold too. They predict these clips in nodes of their own, `predict-trained-A-0`.

The blend needs predictions of the curated and test clips. Only a teacher predicts the noisy clips, in nodes of their
own. A teacher of *crossed* labels is trained once more for each pair of folds, with both held out: the labels for fold
k come from the models that hold out k and one other fold.

A condition with *rounds* of pseudo labels is trained once per round. Rounds differ by their labels alone, so that the
first of three is the same node as the only one of another condition. `train-B.1-0` is round 1 of `train-B-0`.
"""

from collections.abc import Iterable
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from features.files import hash_of
from features.manifest import SUBSETS, Manifest, Subset
from features.settings import FeatureSettings
from features.shard_plan import plan_shards
from orchestrator.grids.condition import ConditionSettings, parents
from orchestrator.grids.recipe import Recipe
from orchestrator.store.node import Kind, Node, signature_of, split_name
from orchestrator.without_gc import uncollected
from trainers.settings import DistillSettings, PooledSettings, PseudoSettings

__all__ = ["Graph", "build_graph", "subset_hash"]


class Graph:
    """Nodes by signature, parents before children."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.train: dict[tuple[str, int], str] = {}
        self.predict: dict[tuple[str, int], str] = {}
        self.taught: dict[tuple[str, tuple[int, ...], tuple[int, ...], int], tuple[str, str]] = {}
        """(teacher, held-out folds, pads, round) -> the train node and its predictions of the noisy clips."""
        self.lessons: dict[tuple[str, int, bool], str] = {}
        """(teacher, fold, with noisy clips) -> its predictions of clips that are not held out, for students."""
        self.shards: dict[tuple[str, str], tuple[str, ...]] = {}
        """(hash of the feature settings, subset) -> shards in clip order."""
        self.blend: str | None = None
        self._names: set[str] = set()

    def add(
        self, name: str, kind: Kind, payload: dict[str, Any], inputs: dict[str, tuple[str, ...]], **more: Any
    ) -> str:
        """Add a node unless there is an equal one; returns its signature.

        If another node has the name, such as a shard of the same clips in other features, a part of the signature is
        appended to it.
        """
        signature = signature_of(kind, payload, inputs)
        if signature not in self.nodes:
            name = f"{name}-{signature[:6]}" if name in self._names else name
            self._names.add(name)
            self.nodes[signature] = Node(name, kind, payload, inputs, signature, **more)
        return signature

    def jobs_of(self, condition: str) -> list[tuple[str, str]]:
        """(train, predict) nodes of a condition: one per fold, then those that only make labels.

        The latter are its earlier rounds, and one per pair of folds that it is a teacher of.
        """
        folds = {signature: self.predict[key] for key, signature in self.train.items() if key[0] == condition}
        teachers = dict(jobs for (name, *_), jobs in self.taught.items() if name == condition)
        return [*folds.items(), *(jobs for jobs in teachers.items() if jobs[0] not in folds)]

    def closure(self, targets: Iterable[str]) -> "Graph":
        """The part of the graph that the targets need."""
        wanted = set(targets)
        for signature in reversed(self.nodes):
            if signature in wanted:
                wanted.update(self.nodes[signature].parents)
        part = Graph()
        part.nodes = {signature: node for signature, node in self.nodes.items() if signature in wanted}
        part.train = {key: s for key, s in self.train.items() if s in wanted}
        part.predict = {key: s for key, s in self.predict.items() if s in wanted}
        part.lessons = {key: s for key, s in self.lessons.items() if s in wanted}
        part.taught = {key: pair for key, pair in self.taught.items() if pair[1] in wanted}
        part.shards = self.shards
        part.blend = self.blend if self.blend in wanted else None
        return part


def subset_hash(manifest: Manifest, subset: str) -> str:
    """Hash of everything a job reads of a subset: classes, clips in order, audio content, labels, folds."""
    clips: pd.DataFrame = manifest.subset(subset)
    columns = [clips[name].tolist() for name in ("clip", "sha256", "fold")]
    return hash_of([list(manifest.classes), columns, [list(labels) for labels in clips["labels"]]])


@uncollected
def build_graph(recipe: Recipe, manifest: Manifest) -> Graph:
    """All nodes of a grid on a dataset. A pure function."""
    graph = Graph()
    builder = _Builder(recipe, manifest, graph)
    for name in recipe.conditions:
        builder.condition(name)
    builder.blend()
    return graph


class _Builder:
    def __init__(self, recipe: Recipe, manifest: Manifest, graph: Graph) -> None:
        self.recipe, self.graph, self.manifest = recipe, graph, manifest
        self.hashes = {subset: subset_hash(manifest, subset) for subset in SUBSETS}
        self.counts = {subset: len(manifest.subset(subset)) for subset in SUBSETS}
        seconds = manifest.clips["n_samples"] / manifest.clips["sample_rate_hz"]
        self.mean_s = float(np.mean(seconds)) if len(seconds) else 0.0
        self.folds = range(recipe.data.folds)
        self.shards: dict[FeatureSettings, dict[str, tuple[str, ...]]] = {}
        self.settings: dict[str, dict[str, Any]] = {}
        self.trained: dict[tuple[str, tuple[int, ...], int], str] = {}

    def features(self, settings: FeatureSettings) -> dict[str, tuple[str, ...]]:
        """Shards of every subset. The size of a shard decides only how clips are spread over files."""
        if settings not in self.shards:
            self.shards[settings] = self._plan_features(settings)
        return self.shards[settings]

    def _plan_features(self, settings: FeatureSettings) -> dict[str, tuple[str, ...]]:
        key = hash_of(settings.model_dump(mode="json"))
        found: dict[str, list[str]] = {subset: [] for subset in SUBSETS}
        for plan in plan_shards(self.manifest, settings):
            payload = {
                "features": settings.signed(),
                "clips": plan.content_key,
            }
            name = f"shard-{settings.kind}-{plan.name}"
            seconds = plan.n_bytes / 1e6
            found[plan.subset].append(self.graph.add(name, "shard", payload, {}, shard=plan, cost=seconds))
        shards = {subset: tuple(signatures) for subset, signatures in found.items()}
        self.graph.shards |= {(key, subset): signatures for subset, signatures in shards.items()}
        return shards

    def condition(self, name: str) -> None:
        """Add the nodes of a condition, after those of the conditions it depends on."""
        if (name, 0) in self.graph.train:
            return
        for other in parents(self.recipe.conditions[name].train).values():
            self.condition(other)
        for fold in self.folds:
            self.graph.train[name, fold] = self.training(name, (fold,))
            self.graph.predict[name, fold] = self.prediction(name, (fold,), self.graph.train[name, fold])

    def facts(self, name: str) -> dict[str, Any]:
        """Settings of a condition as they enter its payloads, the same for all folds."""
        if name not in self.settings:
            self.settings[name] = self.recipe.conditions[name].model_dump(
                mode="json",
                exclude={
                    "train": {
                        "init_from": True,
                        "pseudo": {"teacher", "rounds"},
                        "distill": {"teachers"},
                        "rescue": True,
                        "network": {"init_from"},
                    }
                },
            )
        return self.settings[name]

    def rounds(self, name: str) -> int:
        """Number of trainings of a condition on a fold, each of which makes labels for the next."""
        pseudo = self.recipe.conditions[name].train.pseudo
        return 1 if pseudo is None else pseudo.rounds

    def training(self, name: str, held_out: tuple[int, ...], number: int | None = None) -> str:
        """The training job of a condition with some folds held out, of a round or of the last one.

        Every job that starts from it asks for it.
        """
        key = (name, held_out, number or self.rounds(name))
        if key not in self.trained:
            self.trained[key] = self._plan_training(*key)
        return self.trained[key]

    def _plan_training(self, name: str, held_out: tuple[int, ...], number: int) -> str:
        condition = self.recipe.conditions[name]
        train = condition.train
        shards = self.features(condition.features)
        inputs = {"curated": shards["curated"]}
        payload: dict[str, Any] = {
            "train": self.facts(name)["train"],
            "held_out": list(held_out),
            "curated": self.hashes["curated"],
        }
        if isinstance(train.network, PooledSettings) and train.network.starts_at_shares:
            payload["starts_at_shares"] = True  # older results of these networks started at 0.5
        if train.uses_noisy:
            inputs["noisy"] = shards["noisy"]
            payload["noisy"] = self.hashes["noisy"]
        if train.init_from is not None:
            inputs["init"] = (self.training(train.init_from, held_out),)
        if train.pseudo is not None:
            inputs["pseudo"] = (self.soft_labels(name, train.pseudo, held_out, number),)
        if train.distill is not None:
            inputs["distill"] = (self.students_labels(name, train.distill, held_out),)
        unrescued = None
        rescue = train.rescue.get(split_name(held_out))
        if rescue is not None:
            unrescued = signature_of("train", payload, inputs)
            payload = {**payload, "rescue": rescue.model_dump(mode="json")}
        return self.graph.add(
            f"train-{self._title(name, number)}-{split_name(held_out)}",
            "train",
            payload,
            inputs,
            condition=name,
            held_out=held_out,
            round=number if number < self.rounds(name) else None,
            cost=self._train_cost(condition),
            cpus=float(train.threads),
            trains=True,
            unrescued=unrescued,
        )

    def _title(self, name: str, number: int) -> str:
        """A condition in names of nodes, with its round if another one follows."""
        return f"{name}.{number}" if number < self.rounds(name) else name

    def soft_labels(self, name: str, pseudo: PseudoSettings, held_out: tuple[int, ...], number: int) -> str:
        """Labels for a round of a condition: by its teacher, or by the round before."""
        (fold,) = held_out
        teacher, taught = (pseudo.teacher, self.rounds(pseudo.teacher)) if number == 1 else (name, number - 1)
        splits: dict[str, list[tuple[int, ...]]] = {
            "same": [held_out],
            "all": [(k,) for k in self.folds],
            "crossed": [(min(fold, other), max(fold, other)) for other in self.folds if other != fold],
        }
        teachers = tuple(self.noisy_prediction(teacher, split, pseudo.pads, taught) for split in splits[pseudo.folds])
        which = f"{'all' if pseudo.folds == 'all' else fold}{'x' if pseudo.folds == 'crossed' else ''}"
        held = () if pseudo.folds == "all" else held_out
        payload: dict[str, Any] = {"labels": pseudo.labels}
        if pseudo.labels == "soft":
            payload["temperature"] = pseudo.temperature
        if pseudo.own_label != 1:
            payload |= {"own_label": pseudo.own_label, "noisy": self.hashes["noisy"]}
        title = f"pseudo-{self._title(teacher, taught)}-{which}"
        return self.graph.add(title, "pseudo", payload, {"teacher": teachers}, held_out=held)

    def noisy_prediction(self, name: str, held_out: tuple[int, ...], pads: tuple[int, ...], number: int) -> str:
        """A teacher's predictions of the noisy clips, by its curated head; all labels made from them share the node."""
        key = (name, held_out, pads, number)
        if key not in self.graph.taught:
            train = self.training(name, held_out, number)
            own = self.recipe.conditions[name].predict
            predict = own.model_copy(update={"pads": pads, "heads": ("curated",), "soup": False}).model_dump(
                mode="json"
            )
            title = f"predict-noisy-{self._title(name, number)}-{split_name(held_out)}"
            self.graph.taught[key] = (train, self._predict(title, name, held_out, train, ("noisy",), predict))
        return self.graph.taught[key][1]

    def students_labels(self, name: str, distill: DistillSettings, held_out: tuple[int, ...]) -> str:
        """Labels of the clips that a student trains on, by the models of its teachers that held out the same fold."""
        (fold,) = held_out
        subsets: tuple[Subset, ...] = ("curated", "noisy") if distill.noisy else ("curated",)
        payload: dict[str, Any] = {"share": distill.share, "clips": {subset: self.hashes[subset] for subset in subsets}}
        if distill.noisy:
            payload["own_label"] = distill.own_label
        teachers = tuple(self.trained_prediction(teacher, fold, subsets) for teacher in distill.teachers)
        return self.graph.add(f"distill-{name}-{fold}", "distill", payload, {"teacher": teachers}, held_out=held_out)

    def trained_prediction(self, name: str, fold: int, subsets: tuple[Subset, ...]) -> str:
        """Predictions by the curated head of the clips outside a fold, which students share."""
        key = (name, fold, "noisy" in subsets)
        if key not in self.graph.lessons:
            predict = {**self.facts(name)["predict"], "heads": ["curated"]}
            others = tuple(other for other in self.folds if other != fold)
            title, train = f"predict-trained-{name}-{fold}", self.training(name, (fold,))
            self.graph.lessons[key] = self._predict(title, name, (fold,), train, subsets, predict, others)
        return self.graph.lessons[key]

    def prediction(self, name: str, held_out: tuple[int, ...], train: str) -> str:
        title = f"predict-{name}-{split_name(held_out)}"
        return self._predict(title, name, held_out, train, ("curated", "test"), self.facts(name)["predict"])

    def _predict(
        self,
        title: str,
        name: str,
        held_out: tuple[int, ...],
        train: str,
        subsets: tuple[Subset, ...],
        predict: dict[str, Any],
        folds: tuple[int, ...] | None = None,
    ) -> str:
        """A prediction of some subsets; of the curated clips, those of the held-out folds or of the given ones."""
        condition = self.recipe.conditions[name]
        payload = {
            "network": self.facts(name)["train"]["network"],
            "predict": predict,
            "padding": condition.train.padding,
            "precision": condition.train.precision,
            "crop": condition.train.crops[-1],
            "threads": condition.train.threads,
            "held_out": list(held_out),
            "clips": {subset: self.hashes[subset] for subset in subsets},
        }
        if folds is not None:
            payload["folds"] = list(folds)
        shards = self.features(condition.features)
        inputs: dict[str, tuple[str, ...]] = {"train": (train,)}
        inputs |= {subset: shards[subset] for subset in subsets}
        passes = condition.predicting * len(predict["pads"]) * len(predict["heads"])
        cost = 0.02 * passes * sum(self.counts[subset] for subset in subsets)
        more = {"held_out": held_out, "cost": cost, "cpus": float(condition.train.threads), "trains": True}
        return self.graph.add(title, "predict", payload, inputs, condition=name, **more)

    def blend(self) -> None:
        recipe, blended = self.recipe, self.recipe.blended
        payload = {
            "settings": recipe.blend.model_dump(mode="json"),
            "paper_weights": {name: recipe.paper_weights.get(name, 0.0) for name in blended}
            if recipe.paper_weights
            else None,
            "curated": self.hashes["curated"],
        }
        inputs = {name: tuple(self.graph.predict[name, fold] for fold in self.folds) for name in blended}
        self.graph.blend = self.graph.add("blend", "blend", payload, inputs, cost=30.0)

    def _train_cost(self, condition: ConditionSettings) -> float:
        train = condition.train
        streams = len(train.streams) + 2 * (train.semi is not None)
        clips = self.counts["curated"] * (1 - 1 / self.recipe.data.folds)
        crop = fmean(train.crops)
        work = crop / 4 if train.feature_kind == "waveform" else crop * 128
        return 1e-11 * train.total_epochs * clips * streams * work * train.network.rough_depth * train.network.width**2
