"""`sonogrid serve` as a process, asked by a client and by a browser."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from features.errors import InputError
from orchestrator.run.bound import Run
from orchestrator.serving.server import serve
from tests.fixtures.harm import QUIET
from tests.fixtures.services import free_port


@pytest.fixture(scope="module")
def url(inline_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a running `sonogrid serve`, which ends well at Ctrl-C."""
    log = tmp_path_factory.mktemp("serve") / "log"
    port = free_port()
    command = [sys.executable, "-m", "orchestrator.cli", "serve", str(inline_run.folder), "--port", str(port)]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=os.environ)
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            requests.get(address, timeout=2).raise_for_status()
            break
        except requests.RequestException:
            time.sleep(0.2)
    yield address
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0, log.read_text()
    assert log.read_text().startswith(address)


@pytest.mark.long
def test_a_client_and_a_browser_see_tags(url: str, small_data: Path, tmp_path: Path) -> None:
    """Debian's Chromium, in which a file is dropped on the page and one is chosen."""
    path = sorted(small_data.glob("test/*.wav"))[0]
    answer = requests.post(f"{url}/tags", data=path.read_bytes(), timeout=60).json()
    best = answer["tags"][0]["class"].replace("_", " ")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("the browser chromium is not installed")
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        errors: list[object] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(url)
        page.set_input_files("#file", path)
        expect(page.locator("#tags li").first).to_contain_text(best, timeout=60_000)
        expect(page.locator("#name")).to_contain_text(path.name)
        (tmp_path / "bad.wav").write_text("text")
        page.set_input_files("#file", tmp_path / "bad.wav")
        expect(page.locator("#status")).to_contain_text("The sound is not readable audio", timeout=60_000)
        transfer = page.evaluate_handle(
            """bytes => { const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "dropped.wav")); return data; }""",
            list(path.read_bytes()),
        )
        page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
        expect(page.locator("#name")).to_contain_text("dropped.wav", timeout=60_000)
        drawn = page.evaluate(
            """() => { const canvas = document.getElementById("timeline");
            const data = canvas.getContext("2d").getImageData(140, 0, canvas.width - 140, 20).data;
            return data.some(value => value > 0 && value < 255); }"""
        )
        assert drawn
        errors = [error for error in errors if "422" not in str(error)]  # the browser reports the refusal
        assert errors == []
        browser.close()


def test_a_port_in_use_is_refused(inline_run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"--port {port} can't be used \(.*\): choose another one"):
            serve(inline_run.folder, port, QUIET)
