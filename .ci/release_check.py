"""Check a release before it is made: ``make release-check``.

Version and changelog agree; the built files pass `twine check` and hold what they should; the site
builds; and the front-door tests pass on the wheel, with its extras in a clean environment.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
WORK: Final = ROOT / "build" / "release"
LEFT_OUT: Final = {"docs"}  # the tests need `dev`


def run(*command: object, cwd: Path = ROOT) -> None:
    """Run a command, or end with its status."""
    print("+", *command, flush=True)
    # Nothing of the source may be found by a shell's settings.
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env = dict(os.environ) if cwd == ROOT else outside
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=env, check=False)
    if done.returncode:
        raise SystemExit(f"release-check: `{' '.join(map(str, command))}` failed")


def need(condition: bool, told: str) -> None:
    """End with a message unless something holds."""
    if not condition:
        raise SystemExit(f"release-check: {told}")


def project() -> dict[str, object]:
    """Return the project's table of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def check_version() -> str:
    """Check that one version stands everywhere, and that the changelog tells of it."""
    version = str(project()["version"])
    package = (ROOT / "src/qa_lightning/__init__.py").read_text("utf-8")
    need(f'__version__ = "{version}"' in package, f"`__version__` is not {version}")
    need(f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text("utf-8"), "CITATION.cff")
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    told = re.search(rf"^## \[({re.escape(version)}|Unreleased)\]", changes, re.MULTILINE)
    need(told is not None, f"CHANGELOG.md tells nothing of {version}")
    return version


def environment(name: str) -> Path:
    """Make a clean environment; return its Python."""
    folder = WORK / name
    shutil.rmtree(folder, ignore_errors=True)
    run(sys.executable, "-m", "venv", folder)
    return folder / "bin" / "python"


def build() -> tuple[Path, Path]:
    """Build wheel and source archive, and let twine look at them."""
    tools, built = environment("tools"), WORK / "dist"
    shutil.rmtree(built, ignore_errors=True)
    run(tools, "-m", "pip", "install", "--quiet", "build", "twine")
    run(tools, "-m", "build", "--outdir", built, ROOT)
    run(tools, "-m", "twine", "check", "--strict", *built.iterdir())
    (wheel,), (archive,) = built.glob("*.whl"), built.glob("*.tar.gz")
    return wheel, archive


def check_contents(wheel: Path, archive: Path) -> None:
    """Check that all of the package, and nothing else, is in the wheel."""
    source = ROOT / "src"
    ours = {
        str(path.relative_to(source))
        for path in (source / "qa_lightning").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    names = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}
    packed = {name for name in names if ".dist-info/" not in name}
    need(packed == ours, f"the wheel differs from src/: {sorted(packed ^ ours)[:10]}")
    need(any(name.endswith("licenses/LICENSE") for name in names), "the wheel has no licence")
    need(wheel.stat().st_size < 2_000_000, f"the wheel has {wheel.stat().st_size:,} bytes")
    with tarfile.open(archive) as opened:
        inside = {name.partition("/")[2] for name in opened.getnames()}
    for name in ("pyproject.toml", "constraints.txt", "Makefile", "tests/conftest.py"):
        need(name in inside, f"the source archive has no {name}")


def check_installed(wheel: Path, archive: Path, tests: str) -> None:
    """Run the archive's front-door tests on the wheel with its extras, far from the source.

    Args:
        wheel: built.
        archive: built with it; its tests are of the same moment, whatever goes on in the tree.
        tests: pytest's expression for the marks of the tests to run.
    """
    extras = ",".join(sorted(set(project()["optional-dependencies"]) - LEFT_OUT))
    python, constraints = environment("clean"), ("--constraint", ROOT / "constraints.txt")
    run(python, "-m", "pip", "install", "--quiet", *constraints, f"{wheel}[{extras}]")
    unpacked = WORK / "away"
    shutil.rmtree(unpacked, ignore_errors=True)
    with tarfile.open(archive) as opened:
        opened.extractall(unpacked, filter="data")
    (away,) = unpacked.iterdir()
    shutil.rmtree(away / "src")
    run(
        python,
        "-c",
        f"import qa_lightning; assert {str(WORK)!r} in qa_lightning.__file__",
        cwd=away,
    )
    run(python, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-m", tests, cwd=away)


def main() -> None:
    """Check everything, cheapest first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", default="front_door and not slow and not matrix")
    given = parser.parse_args()
    version = check_version()
    wheel, archive = build()
    check_contents(wheel, archive)
    run(sys.executable, "docs/building/make.py")
    check_installed(wheel, archive, given.tests)
    print(f"release-check: {version} can be released")


if __name__ == "__main__":
    main()
