"""The documentation: its code runs, its commands exist, nothing lacks a page, the site is built."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from page_running import (
    READ_ONLY,
    SHOWN,
    World,
    all_pages,
    arguments_of,
    blocks_of,
    check_command,
    check_yaml_keys,
    commands_of,
    extras,
    inline_commands,
)
from qa_lightning.cli import COMMANDS, TRAINING

sys.path.insert(0, str(ROOT / "docs" / "building"))

from figures import drawn
from reference import commands_page, keys_page, messages_by_room, pattern_of

DOCS = ROOT / "docs"
PAGES = all_pages()
RUN = [page for page in PAGES if any(block.is_run for block in blocks_of(page))]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_and_every_command_is_run_or_says_why_not(page: Path) -> None:
    for block in blocks_of(page):
        assert block.kind in ("python", "bash", "yaml", *SHOWN), block
        assert block.kind or not block.mark.startswith("run with"), block
        if block.kind == "yaml":
            check_yaml_keys(block.code)
        if block.kind == "bash":
            for words in commands_of(block.code):
                check_command(words)
                ours = arguments_of(words) is not None
                assert ours or words[0] in READ_ONLY or not block.is_run, words
    for text in inline_commands(page):
        if "{" not in text:  # a template
            check_command(commands_of(text.replace("…", "x"))[0])


@pytest.mark.front_door
@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_what_a_page_shows_runs(
    page: Path,
    tmp_path: Path,
    small_files: dict[str, Path],
    demo_run: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(tmp_path, small_files, demo_run)
    for block in blocks_of(page):
        if block.is_run:
            world.run(block, monkeypatch)


def written() -> str:
    return "\n".join(page.read_text("utf-8") for page in DOCS.rglob("*.md"))


@pytest.mark.parametrize("command", [*TRAINING, *COMMANDS])
def test_every_command_is_told_of(command: str) -> None:
    shown = [
        words[0]
        for page in DOCS.rglob("*.md")
        for block in blocks_of(page)
        if block.kind == "bash"
        for words in map(arguments_of, commands_of(block.code))
        if words
    ]
    assert command in shown, f"no page shows how `{command}` is called"


@pytest.mark.parametrize("extra", sorted(extras()))
def test_every_extra_is_told_of(extra: str) -> None:
    page = (DOCS / "reference" / "configurations.md").read_text("utf-8")
    assert f"`{extra}`" in page.partition("## Extras")[2], (
        "a row of docs/reference/configurations.md"
    )


@pytest.mark.parametrize(
    "name", [str(path.relative_to(ROOT / "configs")) for path in (ROOT / "configs").rglob("*.yaml")]
)
def test_every_configuration_is_told_of(name: str) -> None:
    assert f"`{name}`" in (DOCS / "reference" / "configurations.md").read_text("utf-8")


def test_every_page_is_in_the_menu() -> None:
    menu = set(
        re.findall(r": ([\w/]+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    )
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    assert pages <= menu, pages - menu


def test_the_messages_of_troubleshooting_are_said() -> None:
    said = [message for messages in messages_by_room().values() for message in messages]
    page = (DOCS / "guides" / "troubleshooting.md").read_text("utf-8")
    quoted = re.findall(r"^> (.+)$", page, re.MULTILINE)
    assert len(quoted) > 20
    for text in quoted:
        start = pattern_of(text)
        assert any(re.match(start, message) for message in said), f"nothing says {text!r}"


def test_the_list_of_messages_has_what_is_said() -> None:
    said = messages_by_room()
    assert sum(map(len, said.values())) > 200
    assert any("--interactive" in message for message in said["cli"])


def test_the_reference_has_every_key() -> None:
    from qa_lightning.cli.reference import keys_of

    page = keys_page()
    for key in keys_of("fit"):
        assert "." not in key.name or f'<a id="{key.name}"></a>' in page
    for command in (*TRAINING, *COMMANDS):
        assert f"{{ #{command} }}" in commands_page()


def test_the_figures_are_as_they_are_drawn() -> None:
    for path, text in drawn():
        assert path.read_text("utf-8") == text, "run `python docs/building/figures.py`"


def test_the_site_is_built_strictly_and_fetches_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "docs/building/make.py", "--build", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 30
    fetched = re.compile(r'<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)="?(https?:[^" >]+)')
    for page in pages:
        loads = [
            found for found in fetched.findall(page.read_text("utf-8")) if "canonical" not in found
        ]
        assert not loads, (page, loads)


# Small ones that several rooms use; the rooms say what they are for.
HELPERS = {
    *("bars", "borders", "bounds", "encodings", "errors", "folders", "languages", "marking"),
    *("normalization", "notebook_bars", "processors", "ranges", "shortage"),
}


def test_the_map_has_every_module() -> None:
    package = ROOT / "src" / "qa_lightning"
    modules = {path.stem for path in package.iterdir() if path.suffix == ".py" or path.is_dir()}
    modules = {name for name in modules if not name.startswith("_")}
    named = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "map.md").read_text("utf-8")))
    assert modules - named == HELPERS
