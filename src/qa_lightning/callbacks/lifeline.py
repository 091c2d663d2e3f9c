"""A connection from every process to the first: what ends one of them is known to all at once."""

import asyncio
import json
import os
import secrets
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Self
from weakref import ref

_MOST_BYTES = 1 << 20
_HUB = 0


@dataclass(frozen=True)
class Failure:
    """Hold what ended the run.

    Attributes:
        rank: where it happened.
        status: with which every process ends.
        text: what happened.
        traceback: of an exception that is no mistake of the user's; "" without.
    """

    rank: int
    status: int
    text: str
    traceback: str = ""


@dataclass(frozen=True)
class Place:
    """Hold where the processes meet: rank 0 listens there."""

    host: str
    port: int
    token: str


class Lifeline:
    """Tell all processes of the first failure, whichever of them it is in.

    The system closes a process's connections when it dies, however it dies; the keep-alive of TCP
    does the same for a machine that is gone. No process needs to be asked whether it is alive, and
    none is taken for dead since it is busy. Rank 0 has a connection to each of the others.

    Args:
        rank: of this process.
        world_size: number of processes.
        found: called, in the lifeline's own thread, with the first failure.
        fate: says what became of a rank that was lost, if it is known.
    """

    def __init__(
        self,
        rank: int,
        world_size: int,
        *,
        found: Callable[[Failure], None],
        fate: Callable[[int], str | None] = lambda rank: None,
    ) -> None:
        self.rank = rank
        self.world_size = world_size
        self.failure: Failure | None = None
        self._found, self._fate = found, fate
        self._known = threading.Event()
        self._alone = threading.Event()
        self._peers: dict[int, asyncio.StreamWriter] = {}
        self._left: set[int] = set()
        self._server: asyncio.Server | None = None
        os.register_at_fork(after_in_child=partial(_let_go, ref(self)))
        self._loop = asyncio.new_event_loop()
        # A process that ends leaves its connections as they are, and need not be told so.
        self._loop.set_exception_handler(lambda loop, context: None)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="lifeline")
        self._thread.start()

    def listen(self, host: str) -> Place:
        """Open the place where the others meet this process, which is rank 0."""
        token = secrets.token_hex(16)
        everywhere = "::" if ":" in host else "0.0.0.0"
        own = host if host in ("localhost", "127.0.0.1", "::1") else everywhere

        async def begin() -> int:
            self._server = await asyncio.start_server(
                lambda reader, writer: self._welcome(reader, writer, token),
                own,
                0,
                limit=_MOST_BYTES,
            )
            port: int = self._server.sockets[0].getsockname()[1]
            return port

        return Place(host, self._now(begin()), token)

    def join(self, place: Place) -> Self:
        """Connect this process to rank 0."""

        async def begin() -> None:
            reader, writer = await asyncio.open_connection(
                place.host, place.port, limit=_MOST_BYTES
            )
            _keep_alive(writer)
            _write(writer, {"token": place.token, "rank": self.rank})
            self._peers[_HUB] = writer
            self._loop.create_task(self._follow(_HUB, reader))

        self._now(begin())
        return self

    def tell(self, failure: Failure, timeout: float) -> Failure:
        """Tell all processes of a failure here; return the first that any of them told."""
        self._loop.call_soon_threadsafe(self._report, failure)
        self._known.wait(timeout)
        return self.failure or failure

    def wait(self, timeout: float) -> Failure | None:
        """Return the first failure, if there is one before the time is over."""
        self._known.wait(timeout)
        return self.failure

    def wait_for_the_first(self, timeout: float) -> None:
        """Let rank 0 end before this process does."""
        if self.rank != _HUB:
            self._alone.wait(timeout)

    def call_later(self, seconds: float, action: Callable[[], None]) -> None:
        """Call something in the lifeline's own thread, whatever the others do."""
        self._loop.call_soon_threadsafe(lambda: self._loop.call_later(seconds, action))

    def leave(self) -> None:
        """Part from the others: this process may end, and so may they."""

        async def end() -> None:
            for writer in self._peers.values():
                _write(writer, {"left": True})
                writer.close()
            self._left.update(range(self.world_size))
            if self._server is not None:
                self._server.close()
            await asyncio.sleep(0)  # the connections' own ends are called

        self._now(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _now(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    async def _welcome(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str
    ) -> None:
        _keep_alive(writer)
        hello = await _read(reader)
        rank = hello.get("rank")
        given = str(hello.get("token")).encode()
        if not secrets.compare_digest(given, token.encode()) or not isinstance(rank, int):
            writer.close()
            return
        self._peers[rank] = writer
        if self.failure is not None:
            _write(writer, {"failure": asdict(self.failure)})
        await self._follow(rank, reader)

    async def _follow(self, rank: int, reader: asyncio.StreamReader) -> None:
        """Read what another process says until it has left, or is lost."""
        while said := await _read(reader):
            if "failure" in said:
                self._report(Failure(**said["failure"]), told_by=rank)
            elif "left" in said:
                self._left.add(rank)
        self._peers.pop(rank, None)
        if rank == _HUB:
            self._alone.set()
        if rank not in self._left and self.failure is None:
            fate = await self._loop.run_in_executor(None, self._fate, rank)
            self._report(Failure(rank, 1, fate or LOST))

    def _report(self, failure: Failure, told_by: int | None = None) -> None:
        """Keep the first failure and pass it on; only rank 0 decides which one is the first."""
        if self.failure is not None:
            return
        if _HUB not in (self.rank, told_by) and _HUB in self._peers:
            _write(self._peers[_HUB], {"failure": asdict(failure)})
            return
        self.failure = failure
        for writer in self._peers.values():
            if self.rank == _HUB:
                _write(writer, {"failure": asdict(failure)})
        self._known.set()
        self._found(failure)


LOST = (
    "it ended without a word: it was killed (by the kernel, where memory ran out), or its machine "
    "is gone"
)


def _let_go(line: "ref[Lifeline]") -> None:
    """Close a forked process's copies of the connections: they are its parent's, and end with it.

    The workers of a data loader would keep those of a process open that was killed.
    """
    owner = line()
    for writer in list(owner._peers.values()) if owner is not None else []:
        with suppress(OSError):
            os.close(writer.get_extra_info("socket").fileno())


def _write(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    if not writer.is_closing():
        writer.write(json.dumps(message).encode() + b"\n")


async def _read(reader: asyncio.StreamReader) -> dict[str, Any]:
    """Return the next message; nothing at the connection's end, however it came."""
    try:
        message = json.loads(await reader.readline())
    except (OSError, ValueError):
        return {}
    return message if isinstance(message, dict) else {}


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    """Let the system close the connection to a machine that has been silent for 30 seconds."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):  # not everywhere
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
