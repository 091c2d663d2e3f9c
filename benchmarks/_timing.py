"""Time callables against each other in one run, and print the medians as a table."""

import argparse
import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

# With these glibc keeps freed memory instead of giving it back, so that no run pays for page
# faults: much of the reference's time at 2,048 tokens and more is nothing else.
NO_PAGE_FAULTS = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "67108864",
}


def interleaved_medians(
    candidates: Mapping[str, Callable[[], object]], *, repeats: int, warmup: int = 1
) -> dict[str, float]:
    """Return the median seconds of processor time of each callable, run in turns: A B A B.

    Whatever else the machine does in the meantime then slows all of them alike. It is processor
    time (of user and system, page faults included) and not the clock's, for the same reason.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(warmup + repeats):
        for name, call in candidates.items():
            gc.collect()
            start = time.process_time()
            call()
            elapsed = time.process_time() - start
            if turn >= warmup:
                seconds[name].append(elapsed)
    return {name: statistics.median(values) for name, values in seconds.items()}


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table, numbers to the right."""
    print("\n" + table(title, header, rows), flush=True)


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table under its title, numbers to the right."""
    cells = [[_text(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    lines = [
        "| " + " | ".join(h.ljust(w) for h, w in zip(header, widths, strict=True)) + " |",
        "|" + "|".join("-" * (w + 1) + ":" for w in widths) + "|",
        *("| " + " | ".join(c.rjust(w) for c, w in zip(r, widths, strict=True)) + " |"
          for r in cells),
    ]  # fmt: skip
    return "\n".join([title, "", *lines])


def _text(value: object) -> str:
    return f"{value:,.2f}" if isinstance(value, float) else str(value)


def allocator() -> str:
    """Return what the memory allocator of this process does, for a table's title."""
    kept = all(os.environ.get(name) == value for name, value in NO_PAGE_FAULTS.items())
    return "memory kept (no page faults)" if kept else "default allocator"


def run(description: str, measure: Callable[[bool], None]) -> None:
    """Measure in this process, then in a second one whose allocator keeps freed memory.

    Args:
        description: What is measured, for ``--help``.
        measure: Prints its tables; its argument says whether a short version is wanted.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer sizes and repeats")
    parser.add_argument("--once", action="store_true", help="in this process only")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    measure(options.quick)
    if not options.once:
        command = [sys.executable, sys.argv[0], "--once", *(["--quick"] * options.quick)]
        subprocess.run(command, check=True, env={**os.environ, **NO_PAGE_FAULTS})
