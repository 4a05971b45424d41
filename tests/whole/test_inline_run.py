"""A whole grid in this process: what it leaves, what a second launch does, what each verb says about it."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from rich.console import Console

from features.files import hash_of, read_json, sha256_file, write_json
from orchestrator.cli.main import main
from orchestrator.grids.load import load_grid
from orchestrator.launch import launch
from orchestrator.report.build import build_report
from orchestrator.report.tables import print_report
from orchestrator.run.bound import Run
from orchestrator.run.selection import Selection, plan_of, prepare
from orchestrator.store.marks import ResultFile
from tests.fixtures.harm import INLINE, QUIET, Compare
from trainers.history import read_history
from trainers.lwlrap import lwlrap


def test_every_node_is_done_and_leaves_no_temporary_file(inline_run: Run) -> None:
    assert {inline_run.store.state(node).state for node in inline_run.graph.nodes.values()} == {"done"}
    assert not list(inline_run.folder.rglob("*.tmp*"))
    assert not list(inline_run.store.root.glob("*/checkpoint.safetensors"))


def test_done_marks_hold_checksums_versions_and_times(inline_run: Run) -> None:
    node = inline_run.graph.nodes[inline_run.graph.train["A", 1]]
    mark = inline_run.store.done(node)
    folder = inline_run.store.results(node)
    assert mark.signature == node.signature
    assert set(mark.files) == {"history.jsonl", "snapshot-1.safetensors", "snapshot-2.safetensors"}
    for name, file in mark.files.items():
        assert file == ResultFile(sha256_file(folder / name), (folder / name).stat().st_size)
    assert {"torch", "numpy", "python", "sonogrid"} <= mark.versions.keys()
    assert mark.seconds > 0


def test_same_seed_gives_the_same_bits(
    inline_run: Run,
    tmp_path: Path,
    small_data: Path,
    tiny_grid: Path,
    same_numbers: Compare,
    own_mlflow: str,
) -> None:
    again = prepare(load_grid(str(tiny_grid)), small_data, tmp_path / "again")
    assert launch(again, INLINE, Selection(), QUIET).ok
    same_numbers(inline_run, Run.open(tmp_path / "again"))


def test_another_seed_gives_other_numbers_and_other_signatures(inline_run: Run, tiny_grid: Path) -> None:
    other = load_grid(str(tiny_grid), ["defaults.seed=1"])
    changed = Run(inline_run.folder, other, inline_run.data_root, inline_run.store, inline_run.manifest)
    ours, theirs = inline_run.graph, changed.graph
    assert not set(ours.train.values()) & set(theirs.train.values())
    assert ours.shards == theirs.shards, "features do not depend on the seed"


def test_launching_again_does_nothing_and_reports_it(inline_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    before = {p: p.stat().st_mtime_ns for p in inline_run.store.root.rglob("*") if p.is_file()}
    assert main(["resume", str(inline_run.folder), "--executor", "inline"]) == 0
    assert "nothing to do: " in capsys.readouterr().out
    assert before == {p: p.stat().st_mtime_ns for p in inline_run.store.root.rglob("*") if p.is_file()}


def test_mlflow_has_each_run_and_each_epoch_once(inline_run: Run) -> None:
    client = MlflowClient()
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    graph, folds = inline_run.graph, range(inline_run.recipe.data.folds)
    conditions = [[graph.train[name, fold] for fold in folds] for name in inline_run.recipe.conditions]
    own = {*graph.nodes, *(hash_of({"condition": nodes}) for nodes in conditions)}
    # Other tests launch this grid with other settings into the same experiment.
    found = client.search_runs([experiment.experiment_id], max_results=1000)
    mirrored = [run for run in found if run.data.tags["sonogrid.signature"] in own]
    runs = {run.info.run_name: run for run in mirrored}
    assert len(runs) == len(mirrored) == 4 * (1 + 2) + 1
    child, parent = runs["A fold 1"], runs["A"]
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.data.params["train.crop"] == "16"
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    node = inline_run.graph.nodes[inline_run.graph.train["A", 1]]
    history = read_history(inline_run.store.results(node))
    points = client.get_metric_history(child.info.run_id, "lwlrap")
    assert [(p.step, p.value) for p in points] == [(r["epoch"], r["lwlrap"]) for r in history]
    names = {f.path for place in ("train", "predictions") for f in client.list_artifacts(child.info.run_id, place)}
    assert {"train/snapshot-1.safetensors", "train/history.jsonl", "predictions/curated.npy"} <= names
    assert runs["blend"].data.metrics["oof_lwlrap"] == build_report(inline_run).blend.oof_lwlrap
    assert runs["blend"].data.metrics["ensemble/A D/oof_lwlrap"] == build_report(inline_run).ensembles[1].oof_lwlrap
    assert runs["blend"].data.tags["sonogrid.leaky.ensemble/A D"] == "false"
    assert parent.data.metrics["cv_lwlrap"] == build_report(inline_run).conditions[1].cv_lwlrap


def test_report_is_one_object_of_the_documented_form(inline_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(inline_run.folder), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {"grid", "complete", "conditions", "blend", "test", "leaky"} <= report.keys()
    assert report["complete"] is True
    assert report["leaky"] == []
    for condition in report["conditions"]:
        best = [fold["best_lwlrap"] for fold in condition["folds"]]
        assert condition["cv_lwlrap"] == pytest.approx(np.mean(best))
        assert 0 < condition["oof_lwlrap"] <= 1
    blend = report["blend"]
    assert len(blend["members"]) == len(blend["weights"]) == 8 + 4 + 1
    assert sum(blend["weights"]) == pytest.approx(1)
    assert blend["predictions"] == 2 * np.count_nonzero(blend["weights"])
    assert [ensemble["name"] for ensemble in report["ensembles"]] == ["A-all", "A+D"]
    assert report["conditions"][1]["published_cv_lwlrap"] == 0.849
    assert report["conditions"][0]["published_cv_lwlrap"] is None
    waveforms, nothing = report["comparisons"]
    before, after = (ensemble["oof_lwlrap"] for ensemble in report["ensembles"])
    assert (waveforms["from"], waveforms["to"], waveforms["leaky"]) == ("A-all", "A+D", False)
    assert waveforms["oof_difference"] == pytest.approx(after - before)
    assert waveforms["interval"][0] <= waveforms["oof_difference"] <= waveforms["interval"][1]
    assert (nothing["oof_difference"], nothing["interval"]) == (0, [0, 0])
    # None of them bounds another: weights are chosen for clips that they never saw.
    scores = ("oof_lwlrap", "oof_lwlrap_nested", "uniform_oof_lwlrap", "paper_oof_lwlrap", "greedy_oof_lwlrap")
    assert all(0 < blend[score] <= 1 for score in scores)


def test_leaky_conditions_are_named_with_all_that_descend_from_them(inline_run: Run, tiny_grid: Path) -> None:
    leaky = load_grid(str(tiny_grid), ["conditions.B.pseudo.folds=all", "conditions.plain.init_from=null"])
    run = Run(inline_run.folder, leaky, inline_run.data_root, inline_run.store, inline_run.manifest)
    report = build_report(run)
    assert report.leaky == ("B", "blend")
    assert not report.complete
    assert report.blend.oof_lwlrap is None


def test_score_submit_and_predict(inline_run: Run, small_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(inline_run.folder)
    assert main(["score", folder, "--labels", str(small_data / "test_labels.csv"), "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)
    assert main(["submission", folder]) == 0
    submission = pd.read_csv(inline_run.folder / "submission.csv")
    wanted = pd.read_csv(small_data / "sample_submission.csv")
    assert list(submission.columns) == list(wanted.columns)
    assert submission["fname"].tolist() == wanted["fname"].tolist()
    labels = pd.read_csv(small_data / "test_labels.csv").set_index("fname")["labels"]
    classes = list(submission.columns[1:])
    truth = np.array([[float(c in labels[f].split(",")) for c in classes] for f in submission["fname"]])
    assert scored["lwlrap"] == pytest.approx(lwlrap(truth, submission[classes].to_numpy()), abs=1e-6)
    # An ensemble has a submission and a score of its own.
    assert main(["submission", folder, "--ensemble", "A+D"]) == 0
    ensemble = pd.read_csv(inline_run.folder / "submission-A+D.csv")
    assert list(ensemble.columns) == list(wanted.columns)
    assert scored["ensembles"]["A+D"] == pytest.approx(lwlrap(truth, ensemble[classes].to_numpy()), abs=1e-6)
    report = build_report(inline_run).as_dict()
    assert report["test"] == {key: scored[key] for key in ("lwlrap", "public", "private")}
    assert {c["name"]: c["test_lwlrap"] for c in report["conditions"]} == scored["conditions"]
    assert {e["name"]: e["test_lwlrap"] for e in report["ensembles"]} == scored["ensembles"]
    waveforms, nothing = report["comparisons"]
    difference = scored["ensembles"]["A+D"] - scored["ensembles"]["A-all"]
    assert waveforms["test_difference"] == pytest.approx(difference)
    assert waveforms["test_interval"][0] <= difference <= waveforms["test_interval"][1]
    assert (nothing["test_difference"], nothing["test_interval"]) == (0, [0, 0])
    assert main(["submission", folder, "--ensemble", "sub"]) == 2
    assert "no such ensemble; it has A-all, A+D" in capsys.readouterr().err
    # New files: the same audio as the test clips has to get the same scores, but for batching of unequal lengths.
    capsys.readouterr()
    files = [str(small_data / "test" / name) for name in submission["fname"][:2]]
    assert main(["predict", folder, *files, "--json"]) == 0
    tags = json.loads(capsys.readouterr().out)
    for row, file in enumerate(files):
        assert [tags[file][c] for c in classes] == pytest.approx(submission.loc[row, classes].tolist(), abs=2e-3)


def test_predict_names_every_bad_file(inline_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("not audio")
    code = main(["predict", str(inline_run.folder), *(str(tmp_path / n) for n in ("empty.wav", "text.wav", "no.wav"))])
    error = capsys.readouterr().err
    assert code == 2
    for name in ("empty.wav", "text.wav", "no.wav"):
        assert error.count(name) == 1
    assert "Traceback" not in error


def test_score_refuses_labels_that_do_not_fit(
    inline_run: Run, tmp_path: Path, small_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = (small_data / "test_labels.csv").read_text().splitlines()
    bad = tmp_path / "bad.csv"
    for lines, word in (
        (good[:-1], "has no row"),
        ([*good, good[-1]], "listed twice"),
        (["a,b", *good[1:]], "needs the columns"),
        ([*good[:-1], good[-1].split(",")[0] + ",Unicorn"], "Unicorn"),
        ([*good[:-1], good[-1].split(",")[0] + ","], "no label"),
        ([], "is empty"),
    ):
        bad.write_text("\n".join(lines))
        assert main(["score", str(inline_run.folder), "--labels", str(bad)]) == 2
        assert word in capsys.readouterr().err


def test_report_prints_the_papers_tables_with_its_figures(
    inline_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(inline_run.folder)]) == 0
    said = capsys.readouterr().out
    one, rest = said.split("Table 2")
    two, rest = rest.split("Table 3")
    three, steps = rest.split("gain of each step")

    def rows(text: str) -> dict[str, str]:
        lines = [line for line in text.splitlines() if line.startswith("│")]
        return {line.split("│")[1].strip(): line for line in reversed(lines)}

    assert "Table 1" in one
    for place, names in ((one, ("plain", "A", "B")), (two, ("D",)), (three, ("A-all", "A+D")), (steps, ("nothing",))):
        assert rows(place).keys() >= set(names)
    assert "0.849" in rows(one)["A"]
    assert "0.890" in rows(three)["A+D"]
    assert "+0.000 to +0.000" in rows(steps)["nothing"]
    assert "13 members" in steps
    assert "leaky" not in said


def test_report_marks_what_is_leaky_wherever_it_is_printed(
    inline_run: Run, tiny_grid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leaky = ["ensembles.sub={members: {B: {}}}", "comparisons.step=[A, sub]", "conditions.B.pseudo.folds=all"]
    run = Run(
        inline_run.folder, load_grid(str(tiny_grid), leaky), inline_run.data_root, inline_run.store, inline_run.manifest
    )
    print_report(build_report(run), Console(width=120))
    said = capsys.readouterr().out
    for name in ("B", "sub", "step", "blend"):
        assert f"{name} (leaky)" in said
    assert said.count("(leaky)") == 4


def test_a_grid_without_figures_prints_one_table_of_conditions(
    inline_run: Run, tiny_grid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = load_grid(str(tiny_grid), ["ensembles={}", "published={}", "comparisons={}"])
    run = Run(inline_run.folder, bare, inline_run.data_root, inline_run.store, inline_run.manifest)
    print_report(build_report(run), Console(width=120))
    said = capsys.readouterr().out
    assert said.startswith("grid tiny: lwlrap")
    assert "Table" not in said
    assert not re.search(r"[┃│] +paper +[┃│]", said)
    assert "step" not in said


def test_plan_shows_why_a_job_runs(inline_run: Run, tiny_grid: Path, small_data: Path) -> None:
    recipe = load_grid(str(tiny_grid), ["conditions.A.lr_max=0.002"])
    planned = plan_of(prepare(recipe, small_data, inline_run.folder), Selection())
    reasons = {p.node.name: (p.action, p.reason) for p in planned.nodes}
    assert reasons["train-plain-0"] == ("cached", "done")
    assert reasons["train-A-0"] == ("changed", "train.lr_max 0.001 -> 0.002")
    assert reasons["predict-A-0"] == ("changed", "input changed: train-A-0")
    assert reasons["train-B-0"][0] == "changed"
    assert reasons["train-D-1"][0] == "cached"
    assert reasons["blend"][0] == "changed"


def test_tune_again_with_more_trials(inline_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(inline_run.folder, copy)
    assert main(["tune", str(copy), "--trials", "9", "--json"]) == 0
    tuned = json.loads(capsys.readouterr().out)
    assert 0 < tuned["oof_lwlrap"] <= 1
    assert build_report(Run.open(copy)).as_dict()["blend"]["weights"] == tuned["weights"]
    assert tuned["leaky"] is False
    assert main(["tune", str(copy), "--budget", "5", "--json"]) == 0
    frugal = json.loads(capsys.readouterr().out)
    assert frugal["predictions"] == 2 * np.count_nonzero(frugal["weights"]) <= 4
    blend = build_report(Run.open(copy)).blend
    assert list(blend.weights) == frugal["weights"]
    assert blend.predictions == frugal["predictions"]
    assert main(["tune", str(copy), "--budget", "1"]) == 2
    assert (
        capsys.readouterr().err == "sonogrid: --budget 1: a member needs 2 predictions, one per fold; give at least 2\n"
    )


def test_test_scores_follow_a_blend_that_is_tuned_again(
    inline_run: Run, small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, labels = tmp_path / "copy", str(small_data / "test_labels.csv")
    shutil.copytree(inline_run.folder, copy)
    assert main(["score", str(copy), "--labels", labels]) == 0
    assert main(["tune", str(copy), "--budget", "2"]) == 0
    test = build_report(Run.open(copy)).test
    assert test is not None
    capsys.readouterr()
    assert main(["score", str(copy), "--labels", labels, "--json"]) == 0
    assert test.lwlrap == json.loads(capsys.readouterr().out)["lwlrap"]
    kept = read_json(copy / "score.json")
    kept["truth"]["clips"] = kept["truth"]["clips"][::-1]
    write_json(copy / "score.json", kept)
    report = build_report(Run.open(copy))
    assert report.test is None, "labels of other clips are not used"
    assert report.ensembles[0].test_lwlrap is None


def test_new_files_are_tagged_by_the_members_of_a_budget(
    inline_run: Run, small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(inline_run.folder, copy)
    assert main(["tune", str(copy), "--budget", "4"]) == 0
    submission = pd.read_csv(copy / "submission.csv")
    clip, classes = submission["fname"][0], list(submission.columns[1:])
    capsys.readouterr()
    assert main(["predict", str(copy), str(small_data / "test" / clip), "--json"]) == 0
    (tags,) = json.loads(capsys.readouterr().out).values()
    assert [tags[c] for c in classes] == pytest.approx(submission.loc[0, classes].tolist(), abs=2e-3)


def test_a_failing_job_blocks_its_dependents_only_and_resume_repairs(
    tmp_path: Path,
    small_data: Path,
    tiny_grid: Path,
    capsys: pytest.CaptureFixture[str],
    own_mlflow: str,
) -> None:
    out = tmp_path / "run"
    launched = ["launch", str(tiny_grid), "--data", str(small_data), "--out", str(out), "--executor", "inline"]
    # A learning rate at which the losses overflow: an error of the job, not of its machine.
    assert main([*launched, "--set", "conditions.plain.lr_max=1e30", "--set", "conditions.plain.optimizer=sgd"]) == 1
    said = capsys.readouterr().out
    assert "failed: train-plain-0" in said
    assert "lower lr_max" in said
    run = Run.open(out)
    state = {node.name: run.store.state(node).state for node in run.graph.nodes.values()}
    assert state["train-plain-0"] == "failed"
    assert state["train-B-0"] == "new"
    assert state["predict-D-1"] == "done"
    assert main(["status", str(out)]) == 0
    assert re.search(r"failed +train-plain-0", capsys.readouterr().out)
    assert main([*launched, "--set", "conditions.plain.lr_max=1e-3"]) == 0


def test_only_and_folds_run_what_they_need(tmp_path: Path, small_data: Path, tiny_grid: Path, own_mlflow: str) -> None:
    run = prepare(load_grid(str(tiny_grid)), small_data, tmp_path / "run")
    names = {p.node.name for p in plan_of(run, Selection(("B",), (1,))).nodes if p.node.kind != "shard"}
    assert names == {"train-plain-1", "train-A-1", "predict-noisy-A-1", "pseudo-A-1", "train-B-1", "predict-B-1"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report", "nowhere"], "no run.json"),
        (["launch", "demo", "--data", "nowhere", "--out", "x"], "nowhere is not a folder"),
        (["check", "nowhere"], "nowhere is not a folder"),
        (["plan", "dmeo", "--data", "."], "did you mean 'demo'"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir()), "nothing half written"
