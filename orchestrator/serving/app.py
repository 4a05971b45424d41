"""The page and the JSON endpoint of a tagger.

    GET  /         the page
    POST /tags     the bytes of an audio file -> its tags, and the scores of its windows, as JSON; `window` and `hop` in
                   the query are their length and distance in seconds (default: an eighth of the sound, 0.5 to 2 s;
                   half a window)

A request that is refused is answered with `{"error": SENTENCE}`.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from features.audio import MAX_VALUES, open_audio
from features.errors import SonogridError, StoreError
from features.words import short
from orchestrator.tagger.sounds import readable
from orchestrator.tagger.tagger import Tagger

__all__ = ["Limits", "make_app"]

PAGE = Path(__file__).parent / "page"
HOSTS = ("127.0.0.1", "localhost")
"""Names under which the server may be asked, so that no other site's name can be pointed at it."""
MOST_WINDOWS = 10_000
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "media-src blob:; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True)
class Limits:
    """Largest request that is answered."""

    mebibytes: float = 64
    audio_s: float = 300
    upload_s: float = 60
    work_s: float = 120
    waiting: int = 4
    """Requests that may wait while one is worked on."""


class _RefusedError(Exception):
    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def make_app(tagger: Tagger, limits: Limits | None = None) -> Starlette:
    """The application.

    Args:
        tagger: tags the sounds.
        limits: of what is posted.
    """
    endpoint = _Endpoint(tagger, limits or Limits())
    routes = [
        Route("/", lambda _: FileResponse(PAGE / "index.html")),
        Route("/tags", endpoint.answer, methods=["POST"]),
        Mount("/page", StaticFiles(directory=PAGE)),
    ]
    middleware = [Middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS)), Middleware(_WithHeaders)]
    return Starlette(routes=routes, middleware=middleware)


class _WithHeaders:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += Headers(HEADERS).raw
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class _Endpoint:
    """Answers `POST /tags`, one sound at a time."""

    def __init__(self, tagger: Tagger, limits: Limits) -> None:
        self.tagger, self.limits = tagger, limits
        self._one = asyncio.Lock()
        self._present = 0

    async def answer(self, request: Request) -> Response:
        try:
            async with self._turn():
                window_s, hop_s = _seconds(request, "window"), _seconds(request, "hop")
                body = await self._body(request)
                async with self._one:
                    return JSONResponse(await run_in_threadpool(self._tag, body, window_s, hop_s))
        except _RefusedError as error:
            return JSONResponse({"error": str(error)}, error.status)
        except SonogridError as error:
            return JSONResponse({"error": short(str(error), 500)}, 422)
        except ClientDisconnect:
            return Response(status_code=400)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._present > self.limits.waiting:
            raise _RefusedError(503, "too many sounds wait to be tagged: try again in a moment")
        self._present += 1
        try:
            yield
        finally:
            self._present -= 1

    async def _body(self, request: Request) -> bytes:
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise _RefusedError(403, "another site's page may not post here")
        size = request.headers.get("content-length", "0")
        most = round(self.limits.mebibytes * 2**20)
        too_large = _RefusedError(413, f"the sound is larger than {self.limits.mebibytes:g} MiB: use sonogrid predict")
        if size.isdigit() and int(size) > most:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self.limits.upload_s):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > most:
                        raise too_large
        except TimeoutError:
            raise _RefusedError(408, f"the sound did not arrive within {self.limits.upload_s:g} s") from None
        if not body:
            raise _RefusedError(400, "nothing was posted: post the bytes of an audio file")
        return bytes(body)

    def _tag(self, body: bytes, window_s: float | None, hop_s: float | None) -> dict[str, Any]:
        tagger, ends = self.tagger, time.monotonic() + self.limits.work_s
        with readable(body, MAX_VALUES) as path:
            with open_audio(path) as sound:
                duration_s = sound.frames / sound.samplerate
            if duration_s > (most := self.limits.audio_s):
                sentence = f"the sound has {duration_s:.0f} s, more than {most:g} s: use sonogrid predict --windows"
                raise _RefusedError(413, sentence)
            window_s = window_s or min(2.0, max(0.5, duration_s / 8))
            hop_s = hop_s or window_s / 2
            if duration_s / hop_s > MOST_WINDOWS:
                raise _RefusedError(400, f"a hop of {hop_s:g} s makes more than {MOST_WINDOWS:,} windows")
            whole = tagger.scores([path])
            segments = []
            for segment in tagger.segments(path, window_s, hop_s):
                scores = [round(float(score), 4) for score in segment.scores]
                segments.append({"start_s": segment.start_s, "end_s": segment.end_s, "scores": scores})
                if time.monotonic() > ends:
                    raise _RefusedError(503, f"tagging takes over {self.limits.work_s:g} s: cut the sound")
        return {
            "duration_s": duration_s,
            "classes": tagger.classes,
            "tags": self._tags(whole),
            "segments": segments,
        }

    def _tags(self, whole: Any) -> list[dict[str, Any]]:
        """All classes, the highest score first; probability and presence are null where no calibration is known."""
        tagger = self.tagger
        try:
            probabilities = tagger.calibration.probabilities(whole)[0].tolist()
            present = (whole[0] >= tagger.calibration.thresholds).tolist()
        except StoreError:
            probabilities = present = [None] * len(tagger.classes)
        rows = zip(tagger.classes, whole[0].tolist(), probabilities, present, strict=True)
        found = [dict(zip(("class", "score", "probability", "present"), row, strict=True)) for row in rows]
        return sorted(found, key=lambda tag: -tag["score"])


def _seconds(request: Request, name: str) -> float | None:
    """A query parameter in seconds, or None if it is left out."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.05 <= value <= 600:
        raise _RefusedError(400, f"{name} is not a number of seconds from 0.05 to 600")
    return value
