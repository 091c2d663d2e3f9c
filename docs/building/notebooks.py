"""The notebooks as pages of the site."""

from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter
from nbformat import NotebookNode

SOURCE = Path(__file__).resolve().parents[2] / "notebooks"

_LINK = "[`{name}`](../../notebooks/{name}) of the repository, "
_SMALL = (
    "at the size of a test, so that its figures mean nothing. `make notebooks`, then `make docs`, "
    "shows what it gives as it stands."
)


def notebook_pages(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield a page for each notebook of a folder, with the outputs that it has."""
    exporter = MarkdownExporter()
    for path in sorted(folder.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        text, resources = exporter.from_notebook_node(notebook)
        for name, content in (resources.get("outputs") or {}).items():
            text = text.replace(name, _data_address(name, content))
        title, _, rest = text.partition("\n\n")
        about = _LINK.format(name=path.name) + _state_of(notebook, path.name)
        yield Path("notebooks") / f"{path.stem}.md", f"{title}\n\n{about}\n\n{rest}"


def _state_of(notebook: NotebookNode, name: str) -> str:
    """Say how a notebook was run."""
    original = nbformat.read(SOURCE / name, as_version=4)
    if not any(cell.get("outputs") for cell in notebook.cells):
        return "not run here."
    same = [cell.source for cell in notebook.cells] == [cell.source for cell in original.cells]
    return "run as it stands." if same else _SMALL


def _data_address(name: str, content: bytes) -> str:
    from base64 import b64encode

    kind = {"svg": "svg+xml"}.get(name.rpartition(".")[2], name.rpartition(".")[2])
    return f"data:image/{kind};base64,{b64encode(content).decode()}"
