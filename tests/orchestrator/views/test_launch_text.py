"""What a launch prints before and after its jobs."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from orchestrator.planning.scheduler import Summary
from orchestrator.report.build import build_report
from orchestrator.report.types import BlendReport
from orchestrator.run.bound import Run
from orchestrator.run.selection import Selection, plan_of
from orchestrator.views.launch_text import print_end, print_mlflow_warning, print_start


@pytest.fixture
def shown() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def console(shown: io.StringIO) -> Console:
    return Console(file=shown, width=200, markup=False, highlight=False)


def test_the_start_counts_jobs(inline_run: Run, console: Console, shown: io.StringIO) -> None:
    plan = plan_of(inline_run, Selection())
    print_start(inline_run, plan, console)
    assert f"nothing to do: {len(plan.nodes)} jobs cached\n" in shown.getvalue()
    forced = plan_of(inline_run, Selection(force=("blend",)))
    print_start(inline_run, forced, console)
    assert f"1 job to run, {len(plan.nodes) - 1} cached, store {inline_run.store.url}\n" in shown.getvalue()


def test_the_end_names_failures_and_what_to_type(inline_run: Run, console: Console, shown: io.StringIO) -> None:
    plan, report = plan_of(inline_run, Selection()), build_report(inline_run)
    blend = inline_run.graph.blend
    failed = inline_run.graph.train["plain", 0]
    assert blend is not None
    print_end(
        inline_run, plan, Summary(failed={failed: "out of luck"}, blocked=[blend]), report, console, page="report.html"
    )
    lines = shown.getvalue().splitlines()
    assert lines[0] == "failed: train-plain-0: out of luck"
    assert lines[1].startswith("        log: ")
    assert "1 job is blocked by a failed job" in lines
    assert lines[-1].endswith(f"resume {inline_run.folder}")


def test_a_job_that_never_began_has_no_log(
    inline_run: Run, console: Console, shown: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, report = plan_of(inline_run, Selection()), build_report(inline_run)
    failed = inline_run.graph.train["plain", 0]
    monkeypatch.setattr(inline_run.store, "log", lambda node: None)
    print_end(inline_run, plan, Summary(failed={failed: "out of luck"}), report, console, page="report.html")
    assert "log:" not in shown.getvalue()


def test_only_commands_that_work_are_suggested(inline_run: Run, console: Console, shown: io.StringIO) -> None:
    plan, report = plan_of(inline_run, Selection()), build_report(inline_run)
    print_end(inline_run, plan, Summary(), replace(report, test=None), console, page="report.html")
    done = shown.getvalue()
    assert "predict" in done
    assert "score" in done
    shown.truncate(0)
    print_end(inline_run, plan, Summary(), replace(report, blend=BlendReport()), console, page="report.html")
    part = shown.getvalue()
    assert "predict" not in part
    assert "score" not in part
    assert "run the rest of the grid" in part
    shown.truncate(0)
    failed = Summary(failed={inline_run.graph.train["plain", 0]: "out of luck"})
    print_end(inline_run, plan, failed, report, console, page="report.html", address="auto")
    assert shown.getvalue().rstrip().endswith(f"resume {inline_run.folder} --address auto")


def test_mlflow_that_lags_is_a_warning(inline_run: Run, console: Console, shown: io.StringIO) -> None:
    print_mlflow_warning(inline_run, "no answer", console)
    assert "MLflow is not up to date (no answer)" in shown.getvalue()
    assert f"sonogrid sync {inline_run.folder}" in shown.getvalue()
