"""Run every benchmark and write `benchmarks/RESULTS.md`: the tables, machine, versions and date.

python benchmarks/run.py [NAME ...]
"""

import argparse
import datetime
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
RESULTS = FOLDER / "RESULTS.md"
PACKAGES = ("torch", "transformers", "lightning", "datasets", "numpy", "rapidfuzz")

# Name → its options. Files whose name starts with an underscore are helpers.
BENCHMARKS: dict[str, tuple[str, ...]] = {
    "attention_layer": (),
    "training_step": (),
    "training_epoch": (),
    "step_profile": (),
    "preparation": (),
    "postprocessing": (),
    "length_scaling": (),
    "alignment": (),
}


def processor() -> str:
    """Return the processor's name, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def run(name: str) -> tuple[str, bool]:
    """Run one benchmark; return its section of the results, and whether it came to its end.

    A benchmark that fails costs its own section and not what the others measured.
    """
    command = [sys.executable, f"benchmarks/{name}.py", *BENCHMARKS[name]]
    print(f"{name} …", flush=True)
    begin = time.perf_counter()
    done = subprocess.run(
        command, cwd=FOLDER.parent, capture_output=True, text=True, encoding="utf-8", check=False
    )
    seconds = time.perf_counter() - begin
    output = done.stdout.rstrip()
    if done.returncode:
        error = done.stderr.rstrip()[-4000:]
        output += f"\n\nFailed with status {done.returncode}:\n\n```\n{error}\n```"
    print(f"{output}\n({seconds:.0f} s)", flush=True)
    shown = " ".join(["python", *command[1:]])
    return f"## {name}\n\n`{shown}` ({seconds:.0f} s)\n{output}\n", not done.returncode


def header() -> str:
    """Say on what the figures were measured."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    return (
        "# Results\n\n"
        f"Written by `make bench` on {today}: {processor()}, {os.cpu_count()} cores, "
        f"{platform.system()}, Python {platform.python_version()}, {versions}. Each table is of "
        "one run in which the ways took turns; the ratios count, not the times.\n"
    )


def main() -> None:
    """Run the named benchmarks, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], default=[])
    names = parser.parse_args().names or list(BENCHMARKS)
    sections, failed = [header()], []
    begin = time.perf_counter()
    for name in names:
        section, succeeded = run(name)
        sections.append(section)
        failed += [] if succeeded else [name]
    sections.append(f"All in {(time.perf_counter() - begin) / 60:.1f} minutes.\n")
    fresh = RESULTS.with_suffix(".new")
    fresh.write_text("\n".join(sections), encoding="utf-8")
    fresh.replace(RESULTS)
    if failed:
        raise SystemExit(f"Failed: {', '.join(failed)}. {RESULTS.name} says how.")


if __name__ == "__main__":
    main()
