"""A service under load: throughput, waiting times and memory, beside the model called in turn.

    python benchmarks/service.py --checkpoint runs/demo
    python benchmarks/service.py --checkpoint runs/demo --requests 200 --memory 0

1, 8 and 32 clients each send one question with its document as soon as the one before is answered;
the service joins waiting requests (``--limits.batch 32``) or not (1). The peer, in this process:
the same reader asked one question after the other, without HTTP. The clock counts here, not
processor time: a client waits by the clock. Then thousands of requests of 8 clients, and what the
service's processes hold of memory on the way.
"""

import argparse
import os
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

import httpx

from _timing import print_table
from qa_lightning import QuestionAnswerer
from qa_lightning.demo import demo_rows

CLIENTS = (1, 8, 32)
MEMORY_POINTS = 5
Row = tuple[str, str]


@contextmanager
def service(checkpoint: str, batch: int) -> Iterator[tuple[str, int]]:
    """Start a service; give its address and its first process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "qa_lightning", "serve", "--checkpoint", checkpoint]
    command += ["--port", str(port), "--device", "cpu", "--limits.batch", str(batch)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        address = f"http://127.0.0.1:{port}"
        begin = time.perf_counter()
        while not is_ready(address):
            if process.poll() is not None or time.perf_counter() - begin > 120:
                raise SystemExit("the service did not start")
            time.sleep(0.1)
        print(f"ready after {time.perf_counter() - begin:.1f} s", flush=True)
        try:
            yield address, process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/ready", trust_env=False).status_code == 200
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
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--memory", type=int, default=10_000, help="requests; 0: none")
    options = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    checkpoint = str(Path(options.checkpoint).resolve())
    rows = [(row["question"], row["context"]) for row in demo_rows("validation", seed=0)]
    results = [in_turn(checkpoint, rows, options.requests)]
    for batch, name in ((32, "joined"), (1, "one by one")):
        with service(checkpoint, batch) as (address, process):
            load(address, rows, 8, 50)
            for clients in CLIENTS:
                results.append(
                    told(
                        f"service, {name}", clients, *load(address, rows, clients, options.requests)
                    )
                )
            if batch > 1 and options.memory:
                growth = [(0, held(process))]
                for part in range(1, MEMORY_POINTS + 1):
                    load(address, rows, 8, options.memory // MEMORY_POINTS)
                    growth.append((part * options.memory // MEMORY_POINTS, held(process)))
    print_table(
        f"{options.requests} requests of one question and its document ({len(rows)} of the demo)",
        ("way", "clients", "requests/s", "p50 ms", "p95 ms", "p99 ms"),
        results,
    )
    if options.memory:
        print_table("Memory of the service's processes", ("requests", "MiB"), growth)


if __name__ == "__main__":
    main()
