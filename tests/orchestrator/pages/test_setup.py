"""The data, the conditions, how to repeat it, and what was set aside."""

from dataclasses import replace

from orchestrator.pages.course import finished_jobs
from orchestrator.pages.document import Code, Table
from orchestrator.pages.setup import aside_section, conditions_section, data_section, repeat_section
from orchestrator.run.bound import Run


def test_the_data_have_their_sizes(inline_run: Run) -> None:
    table = data_section(inline_run).blocks[0]
    assert isinstance(table, Table)
    assert [row[:2] for row in table.rows] == [["curated", "16"], ["noisy", "12"], ["test", "6"]]


def test_notes_of_the_check_are_on_the_page(inline_run: Run) -> None:
    noted = replace(inline_run, manifest=replace(inline_run.manifest, notes=("one class is rare",)))
    assert "Note: one class is rare" in str(data_section(noted).blocks)


def test_conditions_say_what_is_their_own(inline_run: Run) -> None:
    table = conditions_section(inline_run).blocks[1]
    assert isinstance(table, Table)
    own = {row[0]: row[1] for row in table.rows}
    assert "init_from plain" in own["B"]
    assert "features.kind waveform" in own["D"]
    assert "seed" not in "".join(own.values()), "the same in all"


def test_the_command_and_the_versions_are_named(inline_run: Run) -> None:
    blocks = repeat_section(inline_run, finished_jobs(inline_run), "sonogrid launch it").blocks
    assert next(block.text for block in blocks if isinstance(block, Code)) == "sonogrid launch it"
    table = blocks[-1]
    assert isinstance(table, Table)
    assert {"python", "torch", "sonogrid"} <= {row[0] for row in table.rows}


def test_two_versions_of_a_package_are_both_named(inline_run: Run) -> None:
    first, *others = finished_jobs(inline_run)
    odd = replace(first, mark=replace(first.mark, versions={"torch": "1.0"}))
    assert "1.0 (1 job)" in str(repeat_section(inline_run, [odd, *others], "").blocks)


def test_clips_set_aside_are_listed_and_many_are_cut() -> None:
    assert "No clip was set aside" in str(aside_section(()).blocks)
    table = aside_section(f"{number}.wav is silent" for number in range(300)).blocks[0]
    assert isinstance(table, Table)
    assert table.title == "300 clips, the first 200"
    assert len(table.rows) == 200
