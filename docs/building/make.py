"""Assemble the pages in ``build/docs`` and build the site: ``python docs/building/make.py``.

Pages that repeat what the program knows (commands, keys, messages, notebooks) are made here, so
that none of them can be old. Nothing is fetched; a dead link or a missing anchor fails the build.
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from notebooks import notebook_pages
from reference import commands_page, keys_page, messages_page

ROOT: Final = Path(__file__).resolve().parents[2]
SOURCE: Final = ROOT / "docs"
REPOSITORY: Final = "https://github.com/qa-lightning/qa-lightning/blob/main"
_LINK: Final = re.compile(r"(?<=\]\()(?!https?://|#)([^)#\s]+)")


def pages() -> Iterator[tuple[Path, str]]:
    """Yield the pages that a writer wrote: where in the site, and their text."""
    for path in sorted(SOURCE.rglob("*.md")):
        yield path.relative_to(SOURCE), path.read_text("utf-8")
    for name in ("CHANGELOG.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text("utf-8")
        # They stand at the root of the repository and are shown as pages of the site.
        yield Path(name.lower()), _LINK.sub(_from_the_root, text)


def _from_the_root(link: re.Match[str]) -> str:
    inside = link[1].removeprefix("docs/")
    return inside if inside != link[1] else f"../{link[1]}"


def generated() -> Iterator[tuple[Path, str]]:
    """Yield the pages made from the program itself."""
    yield Path("reference/commands.md"), commands_page()
    yield Path("reference/keys.md"), keys_page()
    yield Path("reference/messages.md"), messages_page()


def assemble(folder: Path, notebooks: Path) -> None:
    """Write all pages and figures into a folder.

    Args:
        folder: emptied first.
        notebooks: the notebooks to show, run or not.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for path in SOURCE.rglob("*"):
        if path.suffix in (".svg", ".png", ".css"):
            _place(folder / path.relative_to(SOURCE)).write_bytes(path.read_bytes())
    for name, text in (*pages(), *generated(), *notebook_pages(notebooks)):
        _place(folder / name).write_text(_with_outer_links(name, text), "utf-8")


def _place(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _with_outer_links(name: Path, text: str) -> str:
    """Let links to files outside the documentation lead to the repository."""

    def outer(link: re.Match[str]) -> str:
        target = (SOURCE / name.parent / link[1]).resolve()
        if target.is_relative_to(SOURCE):
            return link[1]
        if not target.exists():
            raise SystemExit(f"Expected {link[1]} of {name} to exist; there is no {target}.")
        return f"{REPOSITORY}/{target.relative_to(ROOT)}"

    return _LINK.sub(outer, text)


def main() -> None:
    """Build the site in ``build/site``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--notebooks", type=Path, default=ROOT / "notebooks")
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="folder of the results")
    given = parser.parse_args()
    assemble(given.build / "docs", given.notebooks)
    settings = given.build / "mkdocs.yml"
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    settings.write_text(text.replace("paths: [src]", f"paths: ['{ROOT / 'src'}']"), "utf-8")
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run([*command, "--config-file", settings], check=False)
    raise SystemExit(done.returncode)


if __name__ == "__main__":
    main()
