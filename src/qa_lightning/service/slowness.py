"""Connections that send the head of a request too slowly, or nothing: cut, so that none is held."""

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol


def protocol(seconds: float) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol with a time for a request's head, from a connection's begin on.

    uvicorn has none; of bodies the gate measures the time.

    Args:
        seconds: for the head; then the answer is 408, and the connection is closed.
    """
    told = {"error": {"status": 408, "message": f"Expected a request's head within {seconds:g} s."}}
    body = json.dumps(told).encode()
    late = (
        b"HTTP/1.1 408 Request Timeout\r\nContent-Type: application/json\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )

    class TimedProtocol(AutoHTTPProtocol):  # type: ignore[misc,valid-type]
        _limit: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._limit = self.loop.call_later(seconds, self._give_up)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._is_asked():
                self._stop()
            elif self._limit is None:  # of the next request on the same connection
                self._limit = self.loop.call_later(seconds, self._give_up)

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def _is_asked(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def _give_up(self) -> None:
            self._limit = None
            if not self._is_asked() and not self.transport.is_closing():
                self.transport.write(late)
                self.transport.close()

        def _stop(self) -> None:
            if self._limit is not None:
                self._limit.cancel()
                self._limit = None

    return TimedProtocol
