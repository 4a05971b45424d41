"""Completion of verbs and options, asked for from a real bash."""

import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator.cli.main import main


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "expected"),
    [("sta", ["status"]), ("launch --tim", ["--time-limit"]), ("tune --bu", ["--budget"])],
)
def test_bash_completes(typed: str, expected: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "script").write_text(script("bash", capsys))
    words = ["sonogrid", *typed.split()]
    lines = f"""
    source {tmp_path / "script"}
    COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}
    $(complete -p sonogrid | grep -o -- "-F [^ ]*" | cut -d" " -f2)
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    shown = subprocess.run(["bash", "-c", lines], capture_output=True, text=True, check=False)
    assert shown.stdout.split() == expected, shown.stderr


def test_zsh_gets_a_script_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    text = script("zsh", capsys)
    assert text.startswith("#compdef sonogrid")
    assert "--time-limit" in text
    if shell := shutil.which("zsh"):
        subprocess.run([shell, "-n"], input=text, text=True, check=True)
