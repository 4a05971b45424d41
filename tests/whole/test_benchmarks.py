"""Every benchmark runs, on little data."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.rows import row_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.long
@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_quick_run(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--json", name],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert {"processor", "cores", "load", "load_after"} <= found["machine"].keys()
    assert found["rows"]
    for row in found["rows"]:
        assert row["against"].startswith(("peer: ", "floor: "))
        assert 0 < row["low"] <= row["ratio"] <= row["high"]
        assert row["unit"] in ("s", "CPU s")


def test_a_table_says_what_it_is_measured_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--quick", "hashing"])
    main()
    shown = capsys.readouterr().out
    assert "floor: read the file" in shown
    assert "load" in shown.splitlines()[-1]


def test_a_row_has_the_median_and_the_spread_of_its_rounds() -> None:
    row = row_of("this", "peer: that", [1.0, 2.0, 1.0], [3.0, 4.0, 9.0], "s")
    assert (row.ratio, row.low, row.high) == (3.0, 2.0, 9.0)
    assert (row.ours_s, row.reference_s, row.rounds) == (1.0, 4.0, 3)


def test_an_unknown_name_is_an_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", "speed"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "unknown benchmark 'speed'; choose from lwlrap, " in capsys.readouterr().err
