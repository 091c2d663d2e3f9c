"""A service under load: throughput, waiting times and memory, beside the model called in turn.

    python benchmarks/service.py --checkpoint runs/demo
    python benchmarks/service.py --checkpoint runs/demo --memory 0
    python benchmarks/service.py --checkpoint runs/demo --requests 0

1, 8 and 32 clients each send one question with its document as soon as the one before is answered;
the service joins waiting requests (``--limits.batch 32``) or not (1). The peer, in this process:
the same reader asked one question after the other, without HTTP. The clock counts here, not
processor time: a client waits by the clock. So do those who start it: how long until the service
is ready, and until the page answers; their processor time is what that is on a machine with nothing
else to do. Then (alone with ``--requests 0``) thousands of requests of 8
clients, and what the service's processes hold of memory on the way.
"""

import argparse
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the commands have it

import httpx

from _timing import print_table
from qa_lightning import QuestionAnswerer
from qa_lightning.demo import demo_rows

CLIENTS = (1, 8, 32)
MEMORY_POINTS = 5
Row = tuple[str, str]


class Started(NamedTuple):
    """Hold an address, its first process, and the seconds until it answered."""

    address: str
    process: int
    seconds: float


@contextmanager
def started(command: str, checkpoint: str, path: str, *options: str) -> Iterator[Started]:
    """Start a service or a page, and wait until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "qa_lightning", command, "--checkpoint", checkpoint]
    words += ["--port", str(port), "--device", "cpu", *options]
    with tempfile.TemporaryFile() as log, tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        process = subprocess.Popen(
            words, stdout=log, stderr=log, start_new_session=True, cwd=folder
        )
        address = f"http://127.0.0.1:{port}"
        while not answers(address + path):
            if process.poll() is not None or time.perf_counter() - begin > 120:
                raise SystemExit(f"`{command}` did not start")
            time.sleep(0.05)
        try:
            yield Started(address, process.pid, time.perf_counter() - begin)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def answers(address: str) -> bool:
    try:
        return httpx.get(address, trust_env=False, timeout=20).status_code == 200
    except httpx.TransportError:
        return False


def load(address: str, rows: list[Row], clients: int, requests: int) -> tuple[float, list[float]]:
    """Return the seconds that all took, and each request's."""
    numbers, seconds = count(), []

    def client() -> None:
        with httpx.Client(base_url=address, timeout=120, trust_env=False) as connection:
            while (number := next(numbers)) < requests:
                question, context = rows[number % len(rows)]
                begin = time.perf_counter()
                answer = connection.post(
                    "/predict", json={"question": question, "context": context}
                )
                seconds.append(time.perf_counter() - begin)
                answer.raise_for_status()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - begin, seconds


def told(name: str, clients: object, whole: float, seconds: list[float]) -> tuple[object, ...]:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    milliseconds = (1e3 * cuts[part - 1] for part in (50, 95, 99))
    return name, clients, len(seconds) / whole, *milliseconds


def in_turn(checkpoint: str, rows: list[Row], requests: int) -> tuple[object, ...]:
    """Ask the reader in this process, one question after the other."""
    answerer = QuestionAnswerer.from_checkpoint(checkpoint, device="cpu")
    answerer.answer(*rows[0])
    seconds = []
    for number in range(requests):
        begin = time.perf_counter()
        answerer.answer(*rows[number % len(rows)])
        seconds.append(time.perf_counter() - begin)
    return told("the reader itself, in turn", "-", sum(seconds), seconds)


def held(process: int) -> float:
    """Return the MiB that a process and its children hold."""
    listed = subprocess.run(
        ["ps", "-o", "rss=", "--pid", str(process), "--ppid", str(process)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return sum(map(int, listed.split())) / 1024


def main() -> None:
    """Measure the load, then the memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--requests", type=int, default=400, help="for each row; 0: no load")
    parser.add_argument("--memory", type=int, default=10_000, help="requests; 0: none")
    options = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    checkpoint = str(Path(options.checkpoint).resolve())
    rows = [(row["question"], row["context"]) for row in demo_rows("validation", seed=0)]
    if options.requests:
        throughput(checkpoint, rows, options.requests)
    if options.memory:
        growth = memory(checkpoint, rows, options.memory)
        print_table("Memory of the service's processes", ("requests", "MiB"), growth)


def throughput(checkpoint: str, rows: list[Row], requests: int) -> None:
    """Measure the starts, then the load."""
    starts = [start(checkpoint, *each) for each in (("serve", "/ready"), ("app", "/")) * 2]
    results = [in_turn(checkpoint, rows, requests)]
    for batch, name in ((32, "joined"), (1, "one by one")):
        with started("serve", checkpoint, "/ready", "--limits.batch", str(batch)) as service:
            load(service.address, rows, 8, 50)
            for clients in CLIENTS:
                measured = load(service.address, rows, clients, requests)
                results.append(told(f"service, {name}", clients, *measured))
    print_table(
        f"{requests} requests of one question and its document ({len(rows)} of the demo)",
        ("way", "clients", "requests/s", "p50 ms", "p95 ms", "p99 ms"),
        results,
    )
    print_table("Start until it answers", ("command", "s, clock", "s, processor"), starts)


def start(checkpoint: str, command: str, path: str) -> tuple[object, ...]:
    """Start and stop; return what it took of the clock, and of the processor (with the stop)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with started(command, checkpoint, path) as answering:
        pass
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return command, answering.seconds, spent


def memory(checkpoint: str, rows: list[Row], requests: int) -> list[tuple[int, float]]:
    """Return how much is held after how many requests of 8 clients."""
    part = requests // MEMORY_POINTS
    with started("serve", checkpoint, "/ready") as service:
        growth = [(0, held(service.process))]
        for number in range(1, MEMORY_POINTS + 1):
            load(service.address, rows, 8, part)
            growth.append((number * part, held(service.process)))
    return growth


if __name__ == "__main__":
    main()
