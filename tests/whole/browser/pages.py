"""`sonogrid ui` as a process, and Debian's Chromium to look at its pages."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.fixtures.services import free_port

__all__ = ["CHROMIUM", "SLOW_MS", "browser", "served"]

CHROMIUM = shutil.which("chromium")
SLOW_MS = 180_000.0
"""Patience with a page of MLflow, in milliseconds: other work may keep the machine busy."""
START_S = 600.0


@contextmanager
def served(run: Path, log: Path) -> Iterator[list[str]]:
    """A running `sonogrid ui`; yields the addresses that it printed: Optuna Dashboard, a table, curves."""
    port = free_port()
    command = [sys.executable, "-m", "orchestrator.cli", "ui", str(run), "--port", str(port)]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=os.environ)
    try:
        deadline = time.monotonic() + START_S
        while not _answers(f"http://127.0.0.1:{port}/health"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "MLflow does not answer"
            time.sleep(0.5)
        yield re.findall(r"http://127\.0\.0\.1:\S+/(?:runs|dashboard)\S*", log.read_text())
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(120)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


@contextmanager
def browser(width: int = 1280, height: int = 800) -> Iterator[Any]:
    """A page of Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(SLOW_MS)
        yield page
        chromium.close()
