"""The connections between processes: the first failure is known to all, a parting is none."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import torch

from qa_lightning.callbacks.lifeline import LOST, Failure, Lifeline
from qa_lightning.callbacks.rank_watch import _failure, _fate, _is_of_the_connection
from qa_lightning.errors import InputError

WORLD = 4


class Group:
    """Hold the lifelines of several ranks, all in this process."""

    def __init__(self) -> None:
        self.found: list[tuple[int, Failure]] = []
        self.lines = [self._line(rank) for rank in range(WORLD)]
        self.place = self.lines[0].listen("127.0.0.1")
        for line in self.lines[1:]:
            line.join(self.place)
        while len(self.lines[0]._peers) < WORLD - 1:  # welcomed in its own thread
            time.sleep(0.01)

    def _line(self, rank: int) -> Lifeline:
        return Lifeline(
            rank,
            WORLD,
            found=lambda failure: self.found.append((rank, failure)),
            fate=lambda lost: "it was killed" if lost == 2 else None,
        )

    def lose(self, rank: int) -> None:
        """Close a rank's connections as the system does when it dies."""
        line = self.lines[rank]
        line.failure = Failure(rank, 1, "the dead say nothing")
        for writer in list(line._peers.values()):
            line._loop.call_soon_threadsafe(writer.transport.abort)


@pytest.fixture
def group() -> Iterator[Group]:
    group = Group()
    yield group
    for line in group.lines:
        line.leave()


@pytest.mark.parametrize("rank", range(WORLD))
def test_the_first_failure_is_known_to_all(rank: int, group: Group) -> None:
    told = Failure(rank, 2, "é um erro", "a trace\n")
    assert group.lines[rank].tell(told, timeout=10) == told
    assert [line.wait(10) for line in group.lines] == [told] * WORLD
    # What is told later changes nothing, and is heard once.
    assert group.lines[(rank + 1) % WORLD].tell(Failure(0, 1, "later"), timeout=10) == told
    assert sorted(group.found, key=lambda pair: pair[0]) == [(r, told) for r in range(WORLD)]


def test_of_two_failures_at_once_all_know_the_same(group: Group) -> None:
    loops = [line._loop for line in group.lines]
    for line, loop in zip(group.lines, loops, strict=True):
        loop.call_soon_threadsafe(line._report, Failure(line.rank, 1, "mine"))
    known = {line.wait(10) for line in group.lines}
    assert len(known) == 1


@pytest.mark.parametrize(("rank", "text"), [(0, LOST), (1, LOST), (2, "it was killed")])
def test_a_rank_that_is_lost_is_known_to_the_others(rank: int, text: str, group: Group) -> None:
    group.lose(rank)
    others = [line for line in group.lines if line.rank != rank]
    assert [line.wait(10) for line in others] == [Failure(rank, 1, text)] * len(others)
    if rank == 0:
        begin = time.monotonic()
        group.lines[1].wait_for_the_first(30)
        assert time.monotonic() - begin < 20


def test_parting_is_no_failure(group: Group) -> None:
    for line in (group.lines[2], group.lines[0], group.lines[1]):
        line.leave()
    assert group.lines[3].wait(0.5) is None
    assert group.found == []
    group.lines = [group.lines[3]]


def test_who_does_not_know_the_token_is_not_heard(group: Group) -> None:
    for said in (
        b"",
        b"\x00\xff\n",
        b"[1]\n",
        b'{"token": "\\u00e9", "rank": 1}\n',
        b"9" * (2 << 20),
    ):
        place = (group.place.host, group.place.port)
        with suppress(ConnectionError), socket.create_connection(place) as stranger:
            stranger.sendall(said)
            stranger.sendall(b'\n{"failure": {"rank": 1, "status": 1, "text": "x"}}\n')
    assert group.lines[0].wait(0.5) is None
    told = Failure(1, 1, "true")
    assert group.lines[1].tell(told, timeout=10) == told


def test_a_rank_that_joins_late_is_told_what_was_before() -> None:
    first = Lifeline(0, 2, found=lambda failure: None)
    place = first.listen("127.0.0.1")
    told = first.tell(Failure(0, 1, "early"), timeout=10)
    second = Lifeline(1, 2, found=lambda failure: None).join(place)
    assert second.wait(10) == told
    for line in (first, second):
        line.leave()


def test_what_is_told_of_an_exception() -> None:
    mistake = _failure(InputError("Expected this; got that."), 1)
    assert mistake == Failure(1, 2, "Expected this; got that.", "")
    try:
        raise ValueError("a bug")
    except ValueError as error:
        bug = _failure(error, 0)
    assert (bug.status, bug.text) == (1, "ValueError: a bug")
    assert "test_lifeline.py" in bug.traceback
    assert "SIGKILL" in _fate(-9)
    assert "memory" in _fate(-9)
    assert _fate(3) == "its process ended with status 3"


PARTED: list[Any] = [
    RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:1234"),
    ConnectionResetError(),
    torch.distributed.DistBackendError("NCCL communicator was aborted"),
]


def test_whose_fault_it_is() -> None:
    assert all(_is_of_the_connection(error) for error in PARTED)
    others = (RuntimeError("CUDA out of memory"), ValueError("gloo"), InputError("timed out"))
    assert not any(_is_of_the_connection(error) for error in others)
