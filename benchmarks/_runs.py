"""Training runs in processes of their own: started, taking turns, kept, averaged."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, TypeVar

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = Path(__file__).resolve().parent
CLOCK_FILE = "clock.json"
CLI = (sys.executable, "-m", "qa_lightning")

RunT = TypeVar("RunT")
ResultT = TypeVar("ResultT")


class Usage(NamedTuple):
    """What a process took: by the clock, of processor time, and of memory at its peak."""

    process_seconds: float
    cpu_seconds: float
    peak_mb: float


class Stopwatch:
    """Add up the seconds between starts and stops, by the clock and of processor time.

    The processor's are what a busy machine leaves to go by.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._cpu_seconds = 0.0
        self.start()

    def start(self) -> None:
        self._mark, self._cpu_mark = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        self._seconds += time.perf_counter() - self._mark
        self._cpu_seconds += time.process_time() - self._cpu_mark
        self.start()  # a second stop adds what came since

    def record(self) -> dict[str, float]:
        return {"training_seconds": self._seconds, "training_cpu_seconds": self._cpu_seconds}


def run_process(command: Sequence[str], log: Path) -> Usage:
    """Run a command with one thread and no network; its output goes to a file.

    Linux starts a child's memory mark at that of its parent: keep the parent smaller than what it
    measures.

    Raises:
        SystemExit: the command failed; the end of its output is told.
    """
    path = os.pathsep.join(filter(None, (str(BENCHMARKS), os.environ.get("PYTHONPATH"))))
    environment = {
        **os.environ,
        **{"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
        **{"PYTHONPATH": path},
    }
    began = time.perf_counter()
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file)
        _, status, usage = os.wait4(process.pid, 0)  # not `wait`: this process's usage alone
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        end = log.read_text(encoding="utf-8", errors="replace")[-3000:]
        raise SystemExit(f"{' '.join(command)} failed with status {process.returncode}:\n{end}")
    return Usage(
        time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    )


def in_turns(
    runs: Iterable[RunT], work: Callable[[RunT], ResultT], processes: int
) -> list[ResultT]:
    """Do the runs in their order, so many at a time; the first that fails ends it."""
    with ThreadPoolExecutor(processes) as pool:
        try:
            return list(pool.map(work, runs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def alternating(seeds: Sequence[int], ways: Sequence[str]) -> list[tuple[str, int]]:
    """Return all runs so that neighbours are of different ways: A B, B A, A B.

    >>> alternating([0, 1], ["a", "b"])
    [('a', 0), ('b', 0), ('b', 1), ('a', 1)]
    """
    return [
        (way, seed)
        for turn, seed in enumerate(seeds)
        for way in (ways if turn % 2 == 0 else reversed(ways))
    ]


class Records:
    """Keep one record a run in a JSON Lines file, so that an interrupted study goes on.

    A record is found by its run's settings, all of them: a study with other sizes starts anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._records: list[dict[str, Any]] = []
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            # A kill in the middle of a line leaves it without its end.
            self._records = [json.loads(line) for line in lines if line.endswith("\n")]
            path.write_text("".join(map(_line, self._records)), encoding="utf-8")

    def find(self, settings: dict[str, Any]) -> dict[str, Any] | None:
        """Return the record of a run, or None."""
        plain = json.loads(json.dumps(settings))
        return next((each for each in self._records if each["settings"] == plain), None)

    def add(self, record: dict[str, Any]) -> None:
        """Append a record, with its ``settings``."""
        with self._lock:
            self._records.append(json.loads(json.dumps(record)))
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_line(record))


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def mean_and_error(values: Sequence[float], digits: int = 1) -> str:
    """Return mean ± standard error, as text; of one value there is no error.

    >>> mean_and_error([1.0, 3.0]), mean_and_error([2000.0], 0)
    ('2.0 ± 1.0', '2,000')
    """
    mean = f"{statistics.mean(values):,.{digits}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(values) / len(values) ** 0.5:,.{digits}f}"


def progress(text: str) -> None:
    """Write a line to stderr, with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
