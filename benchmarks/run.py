"""Run the benchmarks that take minutes and write `benchmarks/RESULTS.md`: tables, machine, date.

python benchmarks/run.py [NAME ...]

Named ones are printed alone: the file is of one machine, one day and all benchmarks.
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
# much of an hour (`label_repair`, `proof_xquad`, `proof_labels`), or wants a trained checkpoint
# (`window_scoring`), is run alone.
BENCHMARKS: dict[str, tuple[str, ...]] = {
    "attention_layer": (),
    "sliding_layers": (),
    "training_step": (),
    "training_epoch": (),
    "sizes": (),
    "step_profile": (),
    "bf16": (),
    "preparation": (),
    "postprocessing": (),
    "prediction": (),
    "answering": (),
    "length_scaling": (),
    "alignment": (),
}


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
    return (
        f"# Results\n\nWritten by `make bench` {machine()}. Where there is a peer, both took turns "
        "in one run; the ratios count, not the times.\n"
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
    if names == list(BENCHMARKS):
        fresh = RESULTS.with_suffix(".new")
        fresh.write_text("\n".join(sections), encoding="utf-8")
        fresh.replace(RESULTS)
    if failed:
        raise SystemExit(f"Failed: {', '.join(failed)}. See above.")


if __name__ == "__main__":
    main()
