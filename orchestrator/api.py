"""sonogrid as Python functions: what the command line does, it does through these.

Each function imports what it needs when it is called, so that `import sonogrid` takes no time. Bad input raises an
exception (`features.errors`) whose message is one sentence; nothing exits the process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from features.errors import InputError
from features.words import count

if TYPE_CHECKING:
    from rich.console import Console

    from features.datasets.init import Initialised
    from features.fetch.download import Teller
    from features.fetch.fetch import Fetched
    from features.relabel import Relabel
    from features.summary import DatasetSummary
    from orchestrator.clean import Cleaning
    from orchestrator.export.export import Exported
    from orchestrator.grids.recipe import Recipe
    from orchestrator.launch import LaunchResult
    from orchestrator.pages.write import Form
    from orchestrator.planning.cost import Cost
    from orchestrator.planning.plan import Plan
    from orchestrator.report.types import LabelScores, Report
    from orchestrator.review.write import Review
    from orchestrator.run.bound import Run
    from orchestrator.run.execution import Execution
    from orchestrator.run.selection import Selection
    from orchestrator.search import SearchResult
    from orchestrator.tracking.models import Registered
    from orchestrator.tune import TunedAgain
    from orchestrator.views.status import Status
    from orchestrator.views.stored import Stored

__all__ = [
    "EncoderFile", "PricedPlan", "check", "clean", "encoder", "export", "fetch", "init", "launch", "load_grid", "logs",
    "plan", "register", "report", "resume", "review", "runs", "score", "search", "serve", "status", "submission",
    "sync", "tune", "ui",
]  # fmt: skip

Place = str | Path


@dataclass(frozen=True)
class EncoderFile:
    """The file of an encoder."""

    path: Path
    licence: str
    """Who made the weights, and under which licence they may be used."""


@dataclass(frozen=True, repr=False)
class PricedPlan:
    """What a launch would do, and what that costs."""

    grid: str
    plan: Plan
    """Every job with what happens to it and why, in an order in which they could run."""
    cost: Cost
    """Operations, GPU hours, disk and time of the jobs that have to run."""
    assumed_data: bool
    """Whether no dataset was given, so that the sizes of FSDKaggle2019 were assumed."""
    notes: tuple[str, ...] = ()
    """What of the grid the dataset can't serve, one sentence each."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        nodes = [planned.as_dict() for planned in self.plan.nodes]
        return {"nodes": nodes, "cost": {"assumed_data": self.assumed_data, **self.cost.as_dict()}}

    def __repr__(self) -> str:
        pending, machines = len(self.plan.pending), self.cost.machines
        cached = len(self.plan.nodes) - pending
        hours = self.cost.total.gpu_s(machines) / 3600
        gpus = count(machines.gpus, f"{machines.gpu.name} GPU")
        return (
            f"<PricedPlan of grid {self.grid}: {count(pending, 'job')} to run, {cached} cached; {hours:,.2f} GPU "
            f"hours, {self.cost.makespan_s / 3600:,.2f} h on {gpus}>"
        )


def load_grid(grid: Place, *, settings: Sequence[str] = (), overlays: Sequence[str] = ()) -> Recipe:
    """Read a grid into a Recipe, the complete list of its settings.

    Raises:
        GridError: there is no such grid or overlay, or a field is unknown or wrong.
    """
    from orchestrator.grids.load import load_grid as load

    return load(str(grid), settings, overlays)


def fetch(name: str, data: Place, *, teller: Teller | None = None) -> Fetched:
    """Download, check and unpack a published dataset. Called again after a break, it continues.

    Args:
        name: 'fsdkaggle2019' (Zenodo, 26 GB) or 'esc50' (GitHub, 0.6 GB).
        data: folder of the dataset; made if it is not there.
        teller: shows what happens; by default nothing is shown.

    Raises:
        InputError: there is no such dataset, the folder can't be used, or another process fetches into it.
        DataError: the disk has not enough space.
        FetchError: the server is out of reach, or sends something else; what is usable is kept.
    """
    from features.fetch.download import Silent
    from features.fetch.fetch import fetch as bring

    return bring(name, Path(data), teller or Silent())


def init(data: Place, *, force: bool = False) -> Initialised:
    """Look at a folder of sounds and describe it in a dataset.yaml. No audio is copied, moved or changed.

    Args:
        data: the folder: one folder per class, audio with a CSV or JSON Lines file of labels, or a published dataset.
        force: replace a dataset.yaml that says something else.

    Raises:
        InputError: there is no such folder, or its dataset.yaml says something else.
        DataError: no dataset can be recognised; nothing is written.
    """
    from features.datasets.init import init as initialise

    return initialise(Path(data), force=force)


def check(data: Place, *, group_by: str | None = None) -> DatasetSummary:
    """Check every file of a dataset.

    Args:
        data: folder of the dataset, or its dataset.yaml.
        group_by: column of the CSV files that groups clips, to be checked as well.

    Raises:
        InputError: there is no such folder.
        DataError: the dataset has problems; `problems` has all of them, one sentence each.
    """
    from features.datasets.find import dataset_folder, find_layout
    from features.manifest import build_manifest
    from features.settings import DataSettings
    from features.summary import DatasetSummary

    folder = dataset_folder(Path(data))
    settings = DataSettings(group_by=group_by)
    if folds := find_layout(folder).official_folds:
        settings = settings.model_copy(update={"folds": min(max(folds, 2), 100)})
    return DatasetSummary.of(build_manifest(folder, settings))


def encoder(name: str, out: Place, *, wheel: Place | None = None) -> EncoderFile:
    """Make the file of a frozen encoder, for `features.embedding` of a grid.

    Args:
        name: 'aisfx', made from the PyPI package of that name (docs/encoders.md).
        out: a new `.onnx` or `.pt2` file.
        wheel: the package's wheel; by default pip downloads it.

    Raises:
        InputError: there is no such encoder, the file exists, or the wheel is not the known one.
    """
    from features.aisfx_wheel import LICENCE, write_aisfx
    from orchestrator.run.places import require_new

    if name != "aisfx":
        raise InputError(f"there is no encoder '{name}': choose aisfx, or bring your own (docs/encoders.md)")
    require_new("--out", Path(out))
    write_aisfx(Path(out), None if wheel is None else Path(wheel))
    return EncoderFile(Path(out), LICENCE)


def plan(
    grid: Place | Recipe,
    data: Place | None = None,
    out: Place | None = None,
    *,
    only: Sequence[str] = (),
    folds: Sequence[int] = (),
    overlays: Sequence[str] = (),
    settings: Sequence[str] = (),
    store: Place | None = None,
    skip_bad: bool = False,
    relabel: Place | None = None,
    time_limit_s: float | None = None,
    gpu: str = "A100",
    gpus: int = 8,
    utilisation: float = 0.3,
) -> PricedPlan:
    """What a launch would do, why, and what it would cost; nothing is run.

    Args:
        grid: name of a shipped grid, a YAML file, or a Recipe from `load_grid`.
        data: by default, the sizes of FSDKaggle2019 are assumed.
        out: RUN folder whose finished work is taken into account; by default all work is new.
        only: conditions that are wanted, with what they need; by default all.
        folds: folds that are wanted; by default all.
        overlays: names of overlays of the grid.
        settings: changes to the grid, such as 'defaults.epochs=20'.
        store: folder, s3:// or gs:// URL where results lie; by default RUN/store.
        skip_bad: leave bad clips out instead of refusing the dataset.
        relabel: CSV of labels that replace those of the dataset, such as the one that `review` writes.
        time_limit_s: choose conditions and epochs that fit into so many seconds on this machine.
        gpu: GPU model assumed for the estimate.
        gpus: how many of them.
        utilisation: fraction of the peak FLOP/s to assume, above 0 and at most 1.

    Raises:
        GridError: the grid is wrong, or asks for what the dataset does not have.
        DataError: the dataset has problems.
    """
    from orchestrator.planning.cost import Cost, Machines
    from orchestrator.planning.gpus import find_gpu
    from orchestrator.run.selection import Selection, plan_of
    from orchestrator.run.unstored import NOWHERE, assumed_run, unstored_run

    machines = Machines(find_gpu(gpu), gpus, utilisation)
    selection = Selection(tuple(only), tuple(folds), skip_bad=skip_bad, relabel=_relabel(relabel))
    _require_places(data, out, store)
    recipe = _recipe(grid, settings, overlays)
    if data is None:
        for option, value in (("out", out), ("store", store), ("skip-bad", skip_bad), ("relabel", relabel)):
            if value:
                raise InputError(f"--{option} needs --data: without data there is nothing to compare")
        run = assumed_run(recipe)
    elif out is None and store is None:
        selection.check(recipe)
        run = unstored_run(recipe, Path(data), skip_bad=skip_bad, relabel=selection.relabel)
    else:
        run = _bind(recipe, selection, data, NOWHERE if out is None else out, store)
    if time_limit_s is not None:
        if data is None:
            raise InputError("--time-limit needs --data: speeds are measured on its clips")
        run, selection = _within(run, selection, None, time_limit_s)
    chosen = plan_of(run, selection)
    return PricedPlan(recipe.name, chosen, Cost.of(chosen, run.recipe, run.manifest, machines), data is None, run.notes)


def launch(
    grid: Place | Recipe,
    data: Place,
    out: Place,
    *,
    only: Sequence[str] = (),
    folds: Sequence[int] = (),
    overlays: Sequence[str] = (),
    settings: Sequence[str] = (),
    store: Place | None = None,
    skip_bad: bool = False,
    relabel: Place | None = None,
    time_limit_s: float | None = None,
    force: Sequence[str] = (),
    execution: Execution | None = None,
    labels: Place | None = None,
    console: Console | None = None,
) -> LaunchResult:
    """Run everything of a grid that is not done. Launching again resumes.

    Args:
        grid: name of a shipped grid, a YAML file, or a Recipe from `load_grid`.
        data: folder of the dataset, or its dataset.yaml.
        out: RUN folder; made if it is not there.
        only: conditions that are wanted, with what they need; by default all.
        folds: folds that are wanted; by default all.
        overlays: names of overlays of the grid.
        settings: changes to the grid, such as 'defaults.epochs=20'.
        store: folder, s3:// or gs:// URL where results lie; by default RUN/store.
        skip_bad: leave bad clips out instead of refusing the dataset.
        relabel: CSV of labels that replace those of the dataset, such as the one that `review` writes.
        time_limit_s: choose conditions and epochs that fit into so many seconds on this machine.
        force: names of jobs to run again even if they are done.
        execution: where and how jobs run; by default on Ray, on this machine.
        labels: CSV of the test labels, if they are known: the report then has the test scores.
        console: shows progress and tables; by default nothing is printed.

    Returns:
        Failed jobs with their causes, and the report. A failed job raises nothing.

    Raises:
        GridError: the grid is wrong, or asks for what the dataset does not have.
        DataError: the dataset has problems.
        InputError: a folder cannot be used, holds another grid, or another process runs it.
    """
    from orchestrator.launch import launch as drive
    from orchestrator.run.command import launch_command
    from orchestrator.run.selection import Selection

    execution = _checked(execution)
    selection = Selection(tuple(only), tuple(folds), force=tuple(force), skip_bad=skip_bad, relabel=_relabel(relabel))
    if isinstance(grid, (str, Path)):
        command = launch_command(
            grid,
            data,
            out,
            overlays=overlays,
            settings=settings,
            store=store,
            relabel=relabel,
            time_limit_s=time_limit_s,
            selection=selection,
            execution=execution,
        )
        selection = replace(selection, command=command)
    _require_places(data, out, store)
    run = _bind(_recipe(grid, settings, overlays), selection, data, out, store)
    if time_limit_s is not None:
        run, selection = _within(run, selection, execution, time_limit_s)
    return drive(run, execution, selection, console or _quiet(), labels=None if labels is None else Path(labels))


def resume(
    run: Place,
    *,
    settings: Sequence[str] = (),
    skip_bad: bool = False,
    everything: bool = False,
    failed: bool = False,
    force: Sequence[str] = (),
    execution: Execution | None = None,
    console: Console | None = None,
) -> LaunchResult:
    """Launch again what a RUN folder describes: the same conditions and folds, with bad clips set aside as before.

    Args:
        run: RUN folder.
        settings: changes to the grid, such as 'defaults.epochs=20'.
        skip_bad: leave bad clips out instead of refusing the dataset.
        everything: run the whole grid, also if the last launch was for a part of it.
        failed: run the failed jobs and the jobs that wait for nothing else.
        force: names of jobs to run again even if they are done.
        execution: where and how jobs run; by default as the last launch did, on this machine or at RAY_ADDRESS.
        console: shows progress and tables; by default nothing is printed.

    Returns:
        Failed jobs with their causes, and the report. A failed job raises nothing.

    Raises:
        InputError: there is no run in the folder, or another process runs it.
    """
    from orchestrator.launch import resume as drive
    from orchestrator.run.execution import Execution
    from orchestrator.run.selection import Selection

    selection = Selection(failed=failed, force=tuple(force))
    return drive(
        Path(run), _checked(execution or Execution.of_run(Path(run))), console or _quiet(),
        skip_bad=skip_bad, selection=selection, everything=everything, changes=tuple(settings),
    )  # fmt: skip


def status(run: Place) -> Status:
    """The state of every job, read from the store only.

    Raises:
        InputError: there is no run in the folder.
        StoreError: run.json is damaged, or the store is gone.
    """
    from orchestrator.run.record import RecordedRun
    from orchestrator.views.status import read_status

    return read_status(RecordedRun.open(Path(run)))


def logs(run: Place, job: str, *, attempt: int | None = None, follow: bool = False) -> Iterator[str]:
    """The lines of a job's log, read from the store only.

    Args:
        run: RUN folder.
        job: its name, as `status` shows it.
        attempt: by default the latest.
        follow: wait for more lines until the job is done or failed.

    Raises:
        InputError: there is no such run, job or attempt.
    """
    from orchestrator.run.record import RecordedRun
    from orchestrator.views.logs import find_job, find_log, follow_log, log_lines

    recorded = RecordedRun.open(Path(run))
    node = find_job(recorded, job)
    return follow_log(recorded, node, attempt) if follow else log_lines(find_log(recorded, node, attempt))


def report(run: Place, *, html: Place | None = None, md: Place | None = None, csv: Place | None = None) -> Report:
    """All scores of a run that exist; also as files, if their names are given.

    Args:
        run: RUN folder.
        html: new file: one page with pictures that needs no network.
        md: new file: the same without pictures, as Markdown.
        csv: new file: one row per figure.

    Raises:
        InputError: there is no run in the folder, or a file exists.
        StoreError: a result is damaged.
    """
    from orchestrator.report.build import build_report
    from orchestrator.run.places import require_new

    named: dict[Form, Place | None] = {"html": html, "md": md, "csv": csv}
    places = {form: Path(place) for form, place in named.items() if place is not None}
    for form, path in places.items():
        require_new(f"--{form}", path)
    bound = _open(run)
    found = build_report(bound)
    if places:
        from orchestrator.pages.write import write_pages

        write_pages(bound, found, places)
    return found


def runs(place: Place) -> Stored:
    """The RUNs below a folder, or what a store holds.

    Args:
        place: a store in a folder, a RUN, or a folder of RUNs.

    Raises:
        InputError: it is none of these.
        StoreError: a run.json is damaged.
    """
    from orchestrator.views.stored import read_stored

    return read_stored(Path(place))


def clean(place: Place, *, runs: Sequence[Place] = (), dry_run: bool = False) -> Cleaning:
    """Remove from a store what no run needs; never what a run that is not named has computed.

    Args:
        place: a store in a folder, or the RUN that it belongs to.
        runs: further runs that use the store.
        dry_run: only say what would be removed.

    Raises:
        InputError: no run is known, or one of them is alive or has another store.
        StoreError: a run.json is damaged.
    """
    from orchestrator.clean import clean as remove

    return remove(Path(place), [Path(run) for run in runs], dry=dry_run)


def review(run: Place, *, to: Place | None = None, top: int = 50) -> Review:
    """Find labels of a run's dataset that are likely wrong or missing; writes a page to listen to and a CSV to edit.

    Args:
        run: RUN folder of which a condition is done.
        to: folder for `review.html` and `labels.csv`, which must not be there yet; by default RUN/review.
        top: largest number of clips of each subset.

    Raises:
        InputError: there is no run in the folder, or a file exists.
        DataError: a clip of the dataset cannot be read.
        StoreError: a result is damaged.
    """
    from orchestrator.review.write import review as write

    if top < 1:
        raise InputError(f"--top is {top}: give at least 1")
    return write(_open(run), Path(run) / "review" if to is None else Path(to), top)


def tune(
    run: Place,
    *,
    trials: int | None = None,
    budget: int | None = None,
    sampler: str = "tpe",
    storage: str | None = None,
    console: Console | None = None,
) -> TunedAgain:
    """Search the weights of the blend on, from the trials that there are. The blend changes only for a clear gain.

    Args:
        run: RUN folder.
        trials: number of trials of each study, those of earlier searches included; by default as many as the grid says.
        budget: largest number of predictions of the blend; by default as before.
        sampler: what proposes trials: 'tpe', 'cmaes' or 'gp'.
        storage: URL of a database for the studies, in which several processes may search at once; by default
            SONOGRID_OPTUNA_STORAGE, else RUN/optuna.journal.
        console: shows what is searched; by default nothing is printed.

    Raises:
        InputError: `trials` or `budget` is too small, there is no such sampler, or another process runs the run.
        StoreError: predictions are missing, or the database fails.
    """
    from orchestrator.tune import tune_again

    say = (console or _quiet()).print
    return tune_again(Path(run), trials, budget, sampler=sampler, storage=storage, say=say)


def search(
    grid: Place | Recipe,
    data: Place,
    out: Place,
    *,
    space: Sequence[str],
    trials: int = 30,
    condition: str | None = None,
    sampler: str = "tpe",
    overlays: Sequence[str] = (),
    settings: Sequence[str] = (),
    store: Place | None = None,
    skip_bad: bool = False,
    execution: Execution | None = None,
    console: Console | None = None,
) -> SearchResult:
    """Search settings of a condition on out-of-fold lwlrap. Searching again continues.

    Args:
        grid: name of a shipped grid, a YAML file, or a Recipe from `load_grid`.
        data: folder of the dataset, or its dataset.yaml.
        out: RUN folder of the search; made if it is not there.
        space: what is searched, such as 'lr_max=log:1e-4..1e-2', 'epochs=10..40' or 'network.width=8,16,32'.
        trials: number of trials, those of earlier calls included.
        condition: whose settings they are; by default the first of the grid.
        sampler: what proposes trials: 'tpe', 'cmaes' or 'gp'.
        overlays: names of overlays of the grid.
        settings: changes to the grid, such as 'defaults.epochs=20'.
        store: folder, s3:// or gs:// URL where results lie; by default RUN/store.
        skip_bad: leave bad clips out instead of refusing the dataset.
        execution: where and how jobs run; by default on Ray, on this machine.
        console: shows progress; by default nothing is printed.

    Raises:
        GridError: the grid is wrong, or the condition has no such setting or value.
        DataError: the dataset has problems.
        InputError: a text of the space has another form, or another process runs the folder.
    """
    from orchestrator.run.selection import Selection
    from orchestrator.search import search as drive
    from orchestrator.search import searched_recipe
    from orchestrator.studies.samplers import find_sampler
    from orchestrator.studies.space import read_space

    if trials < 1:
        raise InputError(f"--trials {trials}: must be at least 1")
    searched, kind = read_space(space), find_sampler(sampler)
    execution = _checked(execution)
    recipe, name = searched_recipe(_recipe(grid, settings, overlays), condition)
    _require_places(data, out, store)
    selection = Selection(skip_bad=skip_bad)
    return drive(
        _bind(recipe, selection, data, out, store), name, searched, trials=trials, sampler=kind, selection=selection,
        execution=execution, console=console or _quiet(),
    )  # fmt: skip


def score(run: Place, labels: Place | None = None) -> LabelScores:
    """lwlrap on the test clips, given a CSV of their labels (`fname,labels` and optionally `usage`).

    Writes RUN/score.json, and the report in RUN again with the test scores.

    Args:
        run: RUN folder.
        labels: by default, the labels that the dataset itself has of its test clips (dataset.yaml).

    Raises:
        InputError: the CSV does not fit the test clips.
        StoreError: the blend is not done yet.
    """
    from orchestrator.pages import PAGE
    from orchestrator.pages.write import write_pages
    from orchestrator.report.build import write_reports
    from orchestrator.report.labels import score_labels

    bound = _open(run)
    scores = score_labels(bound, None if labels is None else Path(labels))
    write_pages(bound, write_reports(bound), {"html": bound.folder / PAGE})
    return scores


def export(
    run: Place,
    to: Place,
    *,
    condition: str | None = None,
    fold: int | None = None,
    cycle: int | None = None,
    members: int | None = None,
    precision: Literal["fp32", "fp16", "int8"] = "fp32",
) -> Exported:
    """Write a finished run's tagger to one file, and hold the file against the run on clips of the dataset.

    Args:
        run: RUN folder.
        to: new `.onnx`, `.pt2` or `.tagger` file.
        condition: only the members of this condition, with equal weights, instead of the blend.
        fold: of the condition, only the networks that were trained without this fold.
        cycle: of the condition, only the snapshots of this cycle, from 1.
        members: only so many members of the blend, those with the highest weights.
        precision: bits of the weights in the file. What is computed with is float32.

    Raises:
        InputError: the file exists or has another ending, there is no such condition, fold or cycle, or the networks
            can't become a file of this format.
        StoreError: the blend is not done yet, or a result is damaged.
        JobError: the file's scores are not those of the run; it is not kept.
    """
    from orchestrator.export.export import export_tagger

    return export_tagger(
        Path(run), Path(to), condition=condition, fold=fold, cycle=cycle, members=members, precision=precision
    )


def submission(run: Place, *, ensemble: str | None = None) -> Path:
    """Write RUN/submission.csv, or RUN/submission-NAME.csv of an ensemble of the grid: scores of the test clips.

    Raises:
        InputError: the grid has no such ensemble, or the dataset has no test clips.
        StoreError: the blend, or a prediction of the ensemble, is not done yet.
    """
    from orchestrator.report.submission import write_submission

    return write_submission(_open(run), ensemble)


def sync(run: Place) -> None:
    """Bring MLflow up to date with the store.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    from orchestrator.tracking.mirror import bring_up_to_date

    bring_up_to_date(_open(run))


def register(run: Place, *, condition: str | None = None) -> Registered:
    """Register the blend in MLflow under the name of the grid, once MLflow is up to date with the store.

    It becomes `models:/GRID@champion` if its nested out-of-fold lwlrap is higher than the champion's on the same data.

    Args:
        run: the RUN folder.
        condition: register this condition instead, such as a student, as GRID-CONDITION.

    Raises:
        InputError: there is no run in the folder, or no such condition.
        StoreError: the blend or the condition is not done yet.
        TrackingError: MLflow cannot be reached.
    """
    from orchestrator.tracking.models import register as register_model

    return register_model(_open(run), condition)


def ui(run: Place, *, port: int = 5000, console: Console | None = None) -> int:
    """Bring MLflow up to date and serve it and Optuna Dashboard on localhost until Ctrl-C; returns MLflow's exit code.

    Raises:
        InputError: the port is in use or not allowed.
        TrackingError: MLflow cannot be reached.
    """
    from orchestrator.ui import show

    return show(_open(run), port, console or _quiet())


def serve(run: Place, *, port: int = 8000, console: Console | None = None) -> int:
    """Serve a page and a JSON endpoint that tag sounds, on localhost until Ctrl-C; returns 0.

    Raises:
        InputError: there is no run in the folder, or the port is in use or not allowed.
        StoreError: the blend is not done yet.
    """
    from orchestrator.serving.server import serve as serve_page

    return serve_page(run, port, console or _quiet())


def _open(run: Place) -> Run:
    from orchestrator.run.bound import Run

    return Run.open(Path(run))


def _recipe(grid: Place | Recipe, settings: Sequence[str], overlays: Sequence[str]) -> Recipe:
    if isinstance(grid, (str, Path)):
        return load_grid(grid, settings=settings, overlays=overlays)
    if settings or overlays:
        raise InputError("settings and overlays change a grid as it is read: give them to load_grid")
    return grid


def _require_places(data: Place | None, out: Place | None, store: Place | None) -> None:
    """Refuse places where no run or store can be, before anything is read."""
    from orchestrator.run.places import require_place

    folder = None if data is None else Path(data)
    if folder is not None and folder.is_file():  # its dataset.yaml
        folder = folder.parent
    for option, place in (("--out", out), ("--store", store)):
        if place is not None and "://" not in str(place):
            require_place(option, Path(place), folder)


def _relabel(csv: Place | None) -> Relabel | None:
    from features.relabel import Relabel

    return None if csv is None else Relabel.read(Path(csv))


def _bind(recipe: Recipe, selection: Selection, data: Place, out: Place, store: Place | None) -> Run:
    """A grid bound to a dataset, once everything that was given is checked."""
    from orchestrator.run.selection import prepare

    selection.check(recipe)
    return prepare(recipe, Path(data), Path(out), store, skip_bad=selection.skip_bad, relabel=selection.relabel)


def _within(run: Run, selection: Selection, execution: Execution | None, time_limit_s: float) -> tuple[Run, Selection]:
    """The part of a grid that fits into a time."""
    from orchestrator.run.execution import Execution
    from orchestrator.run.time_limit import within

    return within(run, selection, execution or Execution.create("ray", None), time_limit_s)


def _checked(execution: Execution | None) -> Execution:
    """The execution that was given, or the default one; never one that cannot drive a grid from this process."""
    from orchestrator.executors.ray.connect import check_address
    from orchestrator.run.execution import Execution

    execution = execution or Execution.create("ray", None)
    if execution.executor == "ray":
        check_address(execution.address)
    return execution


def _quiet() -> Console:
    from rich.console import Console

    return Console(quiet=True)
