"""The page and its endpoint, over HTTP: a real server, a real client, a real tagger."""

import asyncio
import http.client
import io
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import requests
import soundfile
import uvicorn

from orchestrator.run.bound import Run
from orchestrator.serving.app import PAGE, Limits, make_app
from orchestrator.tagger.tagger import Tagger


@pytest.fixture(scope="module")
def tagger(inline_run: Run) -> Tagger:
    return Tagger.load(inline_run.folder)


@contextmanager
def served(tagger: Tagger, limits: Limits | None = None) -> Iterator[str]:
    """Address of a running server."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(make_app(tagger, limits), log_level="warning", lifespan="off"))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def wav(seconds: float, rate: int = 8_000) -> bytes:
    """The bytes of a WAV file of noise."""
    file = io.BytesIO()
    soundfile.write(file, np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * rate)), rate, format="WAV")
    return file.getvalue()


def test_a_posted_file_has_the_tags_and_segments_of_the_tagger(tagger: Tagger, small_data: Path) -> None:
    path = sorted(small_data.glob("test/*.wav"))[0]
    with served(tagger) as url:
        answer = requests.post(f"{url}/tags?window=1&hop=0.5", data=path.read_bytes(), timeout=60).json()
    assert answer["classes"] == list(tagger.classes)
    assert [tag["class"] for tag in answer["tags"]] == [name for name, _ in tagger.tag(path, top=99)]
    assert {tag["class"]: tag["score"] for tag in answer["tags"]} == pytest.approx(dict(tagger.tag(path, top=99)))
    present = {name for name, _ in tagger.tag(path, top=99, threshold="auto")}
    assert {tag["class"] for tag in answer["tags"] if tag["present"]} == present
    wanted = dict(zip(tagger.classes, tagger.probabilities([path])[0].tolist(), strict=True))
    assert {tag["class"]: tag["probability"] for tag in answer["tags"]} == pytest.approx(wanted, abs=1e-5)
    segments = list(tagger.segments(path, 1, 0.5))
    assert [segment["start_s"] for segment in answer["segments"]] == [segment.start_s for segment in segments]
    np.testing.assert_allclose([s["scores"] for s in answer["segments"]], [s.scores for s in segments], atol=6e-5)
    assert answer["duration_s"] == pytest.approx(soundfile.info(path).duration)


def test_the_page_needs_nothing_from_elsewhere(tagger: Tagger) -> None:
    with served(tagger) as url:
        page = requests.get(url, timeout=10)
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        for path in PAGE.iterdir():
            text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
            assert "//" not in text.replace("/**", "").replace(" // ", "") or "http" not in text
            assert requests.get(f"{url}/page/{path.name}", timeout=10).status_code == 200
        assert requests.get(f"{url}/page/../app.py", timeout=10).status_code == 404
        assert requests.get(f"{url}/page/%2e%2e/app.py", timeout=10).status_code == 404


@pytest.mark.parametrize(
    ("query", "body", "status", "sentence"),
    [
        ("", b"", 400, "nothing was posted"),
        ("", b"text", 422, "the sound is not readable audio"),
        ("", wav(0.1)[:200], 422, "the sound is truncated"),
        ("", bytes(3 * 2**20), 413, "the sound is larger than 2 MiB"),
        ("", wav(12), 413, "the sound has 12 s, more than 10 s"),
        ("?window=0", wav(1), 400, "window is not a number of seconds"),
        ("?hop=nan", wav(1), 400, "hop is not a number of seconds"),
    ],
)
def test_what_cannot_be_tagged_is_refused_in_a_sentence(
    query: str, body: bytes, status: int, sentence: str, tagger: Tagger
) -> None:
    with served(tagger, Limits(mebibytes=2, audio_s=10)) as url:
        answer = requests.post(f"{url}/tags{query}", data=body, timeout=60)
    assert answer.status_code == status
    assert answer.json()["error"].startswith(sentence)
    assert "/proc" not in answer.text


def test_bytes_are_counted_whatever_the_client_claims(tagger: Tagger) -> None:
    with served(tagger, Limits(mebibytes=1)) as url:
        answer = requests.post(f"{url}/tags", data=iter([bytes(2**20)] * 3), timeout=60)  # chunked: without a length
    assert answer.status_code == 413


def test_a_slow_client_is_cut_off(tagger: Tagger) -> None:
    with served(tagger, Limits(upload_s=0.2)) as url:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
        connection.putrequest("POST", "/tags")
        connection.putheader("Content-Length", "1000")
        connection.endheaders(b"RIFF")
        answer = connection.getresponse()
        assert (answer.status, b"did not arrive within 0.2 s" in answer.read()) == (408, True)
        connection.close()


def test_work_is_limited_and_so_is_waiting(tagger: Tagger) -> None:
    with served(tagger, Limits(work_s=0)) as url:
        assert requests.post(f"{url}/tags", data=wav(1), timeout=60).status_code == 503
    with served(tagger, Limits(waiting=-1)) as url:
        answer = requests.post(f"{url}/tags", data=wav(1), timeout=60)
        assert (answer.status_code, answer.json()["error"][:8]) == (503, "too many")


def test_other_names_and_other_sites_are_refused(tagger: Tagger) -> None:
    with served(tagger) as url:
        assert requests.get(url, headers={"Host": "evil.example"}, timeout=10).status_code == 400
        headers = {"Sec-Fetch-Site": "cross-site"}
        assert requests.post(f"{url}/tags", data=wav(1), headers=headers, timeout=10).status_code == 403
