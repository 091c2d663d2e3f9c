"""Run every benchmark and write `benchmarks/RESULTS.md`: the tables, machine, versions and date.

python benchmarks/run.py [NAME ...]
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from _machine import machine

FOLDER = Path(__file__).resolve().parent
RESULTS = FOLDER / "RESULTS.md"

# Name → its options. Files whose name starts with an underscore are helpers. What trains for
# much of an hour (`label_repair`, `proof_xquad`, `proof_labels`) is run alone.
BENCHMARKS: dict[str, tuple[str, ...]] = {
    "attention_layer": (),
    "training_step": (),
    "training_epoch": (),
    "preparation": (),
    "postprocessing": (),
    "length_scaling": (),
    "alignment": (),
}


def run(name: str) -> str:
    """Run one benchmark; return its section of the results."""
    command = [sys.executable, f"benchmarks/{name}.py", *BENCHMARKS[name]]
    print(f"{name} …", flush=True)
    begin = time.perf_counter()
    done = subprocess.run(
        command, cwd=FOLDER.parent, capture_output=True, text=True, encoding="utf-8", check=False
    )
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise SystemExit(f"{name} failed with status {done.returncode}:\n{done.stderr[-4000:]}")
    print(f"{done.stdout}\n({seconds:.0f} s)", flush=True)
    shown = " ".join(["python", *command[1:]])
    return f"## {name}\n\n`{shown}` ({seconds:.0f} s)\n{done.stdout.rstrip()}\n"


def header() -> str:
    """Say on what the figures were measured."""
    return (
        f"# Results\n\nWritten by `make bench` {machine()}. Each table is of one run in which the "
        "ways took turns; the ratios count, not the times.\n"
    )


def main() -> None:
    """Run the named benchmarks, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], default=[])
    names = parser.parse_args().names or list(BENCHMARKS)
    sections = [header(), *(run(name) for name in names)]
    fresh = RESULTS.with_suffix(".new")
    fresh.write_text("\n".join(sections), encoding="utf-8")
    fresh.replace(RESULTS)


if __name__ == "__main__":
    main()
