"""What every request passes before it reaches the server, and what is kept of it afterwards.

Kept are numbers: no question, document or answer ever reaches the log or the metrics.
"""

import asyncio
import hmac
import json
import logging
import time
import uuid
from collections.abc import MutableMapping
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest
from prometheus_client.registry import CollectorRegistry
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qa_lightning.errors import placed
from qa_lightning.service.limits import Limits

log = logging.getLogger("qa_lightning.service.requests")

# Answered to whoever asks: orchestrators have no keys, and how to ask is no secret.
OPEN = ("/health", "/ready", "/openapi.json", "/docs")
_KNOWN = (*OPEN, "/predict", "/metrics")
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


def problem(status: int, message: str, **headers: str) -> JSONResponse:
    """Return an error as the service words it."""
    content = {"error": {"status": status, "message": message}}
    return JSONResponse(content, status_code=status, headers=headers)


class RefusedError(Exception):
    """Carry the response of a request that is not let in."""

    def __init__(self, response: Response) -> None:
        self.response = response


class Metrics:
    """Count what passes, for Prometheus."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "qa_lightning_requests", "Requests", ["path", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "qa_lightning_request_seconds",
            "Seconds from the first byte to the answer",
            ["path"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.waiting = Gauge(
            "qa_lightning_requests_in_flight",
            "Requests being answered or waiting",
            registry=self.registry,
        )

    def response(self) -> Response:
        """Return them in Prometheus' own format."""
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)


class Gate:
    """Let requests in that have a key, a bounded body and a place in the queue.

    Args:
        app: the server behind it.
        limits: what is let in.
        key: what clients must know; None lets in everyone.
    """

    def __init__(self, app: ASGIApp, *, limits: Limits, key: str | None) -> None:
        self.app, self.limits = app, limits
        self._key = None if key is None else key.encode()
        self.metrics = Metrics()
        self._waiting: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin = time.perf_counter()
        name = uuid.uuid4().hex
        answer = _Answer(send, name)
        size = 0
        try:
            self._check_key(scope)
            if scope["path"] == "/ready" and self._is_full():
                await problem(503, "As many requests wait as may.")(scope, receive, answer.send)
            elif scope["path"] == "/metrics":
                await self.metrics.response()(scope, receive, answer.send)
            elif scope["method"] != "POST":
                await self.app(scope, receive, answer.send)
            else:
                body = await self._body(scope, receive)
                size = len(body)
                await self._pass(scope, body, receive, answer)
        except RefusedError as refused:
            await refused.response(scope, receive, answer.send)
        except UnicodeEncodeError:
            halved = problem(422, "Expected text; there is half of a character (lone surrogate).")
            await halved(scope, receive, answer.send)
        except Exception as error:
            log.error("a request failed: %s", placed(error))
            if not answer.status:
                await problem(500, "The service failed on this request.")(
                    scope, receive, answer.send
                )
        finally:
            self._keep(scope, answer, size, time.perf_counter() - begin)

    def _check_key(self, scope: Scope) -> None:
        if self._key is None or scope["path"] in OPEN:
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-api-key") or headers.get(b"authorization", b"").removeprefix(
            b"Bearer "
        )
        if not hmac.compare_digest(given, self._key):
            message = "Expected the service's key in the header X-API-Key; it is missing or wrong."
            raise RefusedError(problem(401, message, **{"WWW-Authenticate": "Bearer"}))

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """Read a body whole, within its bounds of size and time."""
        most = self.limits.body_bytes
        too_large = problem(413, f"Expected a body of at most {most:,} bytes.", Connection="close")
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > most:
            raise RefusedError(too_large)
        body = bytearray()
        try:
            async with asyncio.timeout(self.limits.sending_seconds):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise RefusedError(problem(400, "The client left before it had sent all."))
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > most:
                        raise RefusedError(too_large)
        except TimeoutError:
            seconds = self.limits.sending_seconds
            late = problem(
                408, f"Expected the whole request within {seconds:g} s.", Connection="close"
            )
            raise RefusedError(late) from None
        return bytes(body)

    async def _pass(self, scope: Scope, body: bytes, receive: Receive, answer: "_Answer") -> None:
        """Hand a request on, and give one up that takes too long: its reader may be no more."""
        if self._is_full():
            message = f"{self.limits.queue:,} requests wait already. Try again later."
            raise RefusedError(problem(503, message, **{"Retry-After": "1"}))
        task: asyncio.Task[None] = asyncio.create_task(
            self.app(scope, _replayed(body, receive), answer.send)  # type: ignore[arg-type]
        )
        self._waiting.add(task)
        self.metrics.waiting.set(len(self._waiting))
        task.add_done_callback(self._leave)
        done, _ = await asyncio.wait({task}, timeout=self.limits.seconds)
        if done:
            task.result()
            return
        task.cancel()
        self._leave(task)  # now, and not when it hears of it
        begun = answer.cut()
        if not begun:
            message = f"No answer within {self.limits.seconds:g} seconds."
            raise RefusedError(problem(504, message))

    def _is_full(self) -> bool:
        return len(self._waiting) >= self.limits.queue

    def _leave(self, task: "asyncio.Task[None]") -> None:
        self._waiting.discard(task)
        self.metrics.waiting.set(len(self._waiting))
        if task.done() and not task.cancelled():
            task.exception()  # told by the server, or to the one who waits

    def _keep(self, scope: Scope, answer: "_Answer", size: int, seconds: float) -> None:
        path = scope["path"] if scope["path"] in _KNOWN else "other"
        self.metrics.requests.labels(path, str(answer.status)).inc()
        self.metrics.seconds.labels(path).observe(seconds)
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "request": answer.name,
            "method": scope["method"] if scope["method"] in ("GET", "POST", "HEAD") else "other",
            "path": path,
            "status": answer.status,
            "bytes": size,
            "milliseconds": round(seconds * 1e3, 1),
        }
        log.info(json.dumps(line))


class _Answer:
    """Send one response, and nothing after it."""

    def __init__(self, send: Send, name: str) -> None:
        self.name, self.status = name, 0
        self._send, self._cut, self._current = send, False, None

    async def send(self, message: Message) -> None:
        """Pass on a message, with the request's name in the head."""
        if self._cut and asyncio.current_task() is not self._current:
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", []), self._header()]}
        await self._send(message)

    def cut(self) -> bool:
        """Listen to none but the present task from now on; tell whether an answer had begun."""
        self._cut, self._current = True, asyncio.current_task()  # type: ignore[assignment]
        return bool(self.status)

    def _header(self) -> tuple[bytes, bytes]:
        return (b"x-request-id", self.name.encode())


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read already, then what the client does."""
    given: list[MutableMapping[str, Any]] = [{"type": "http.request", "body": body}]

    async def again() -> Message:
        return given.pop() if given else await receive()

    return again
