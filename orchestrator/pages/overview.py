"""What MLflow shows of a condition and of the blend, as files for a browser: a page, pictures, tables, sounds."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np

from features.files import hash_of, read_json, sha256_file, write_json
from orchestrator.blending.result import Blend
from orchestrator.pages.augmentations import augmentations_section
from orchestrator.pages.details import class_blocks, confusion_blocks, mistakes_section
from orchestrator.pages.document import Block, Document, Section, Words
from orchestrator.pages.learning import learning_section
from orchestrator.pages.parts import write_parts
from orchestrator.pages.results import blend_section, gains_section, reliability_section
from orchestrator.pages.summary import condition_words, summary
from orchestrator.report.build import build_report
from orchestrator.report.classes import class_reports, confusions
from orchestrator.report.reliability import reliability_bins
from orchestrator.report.scores import Predicted, finished_blend, mean_predictions, nested_blend
from orchestrator.report.types import Details, Report
from orchestrator.run.bound import Run

__all__ = ["FOLDER", "MADE", "overview_files", "refresh_overviews", "write_overviews"]

FOLDER = "overview"
"""In a RUN; a folder in it for each condition, and one for the blend."""
MADE = "made.json"
"""In that folder: what the files were made of."""
BLEND = "blend"


def overview_files(run: Run, name: str) -> list[Path]:
    """The files about a condition or the blend, in order of their names; none before they are written."""
    folder = run.folder / FOLDER / name
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []


def refresh_overviews(run: Run) -> None:
    """Write the files again if predictions, the blend or the test scores changed since.

    Raises:
        StoreError: a result is damaged.
    """
    store, graph = run.store, run.graph
    nodes = [graph.nodes[signature] for signature in (*graph.predict.values(), str(graph.blend))]
    done = [f"{node.signature} {store.done(node).started}" for node in nodes if store.state(node).state == "done"]
    labels = run.folder / "score.json"
    word = hash_of([done, sha256_file(labels) if labels.exists() else None, version("sonogrid")])
    made = run.folder / FOLDER / MADE
    if done and (not made.exists() or read_json(made) != {"of": word}):
        write_overviews(run, build_report(run))
        write_json(made, {"of": word})


def write_overviews(run: Run, report: Report) -> None:
    """Write the files about each condition that is done and about the blend; files that are there are replaced."""
    means = mean_predictions(run)
    for one in report.conditions:
        if one.name in means:
            write_parts(_condition(run, report, one.name, means), run.folder / FOLDER / one.name)
    blend, nested = finished_blend(run), nested_blend(run)
    if blend is not None and nested is not None:
        write_parts(_blend(run, report, blend, nested), run.folder / FOLDER / BLEND)


def _condition(run: Run, report: Report, name: str, means: Mapping[str, Predicted]) -> Document:
    truth, scores = run.manifest.targets("curated"), means[name].oof
    best = None if report.best in (None, name) else means[str(report.best)].oof
    details = Details(name, class_reports(run.manifest, scores, best, None),
                      confusions(run.manifest.classes, truth, scores), ())  # fmt: skip
    leaky = name in report.leaky
    sections = [
        Section("In short", [Words(sentence) for sentence in condition_words(report, name)]),
        gains_section(report, name),
        learning_section(run, [name]),
        Section("Classes", class_blocks(details, leaky, report.best)),
        Section("Confusions", _or_none(confusion_blocks(details))),
        augmentations_section(run, name),
    ]
    return Document(f"{name}: a condition of {report.grid}", f"On the dataset {run.data_root.name}", sections)


def _blend(run: Run, report: Report, blend: Blend, nested: np.ndarray) -> Document:
    details = report.details
    assert details is not None, "the blend is done"
    truth = run.manifest.targets("curated")
    sections = [
        summary(run, report),
        blend_section(report, blend),
        gains_section(report, BLEND),
        reliability_section(reliability_bins(truth, nested)),
        Section("Classes", class_blocks(details, details.of in report.leaky, report.best)),
        Section("Confusions", _or_none(confusion_blocks(details))),
        mistakes_section(details, run),
    ]
    return Document(f"The blend of {report.grid}", f"On the dataset {run.data_root.name}", sections)


def _or_none(blocks: list[Block]) -> list[Block]:
    return blocks or [Words("No clip has another class ranked first.", "note")]
