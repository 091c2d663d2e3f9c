"""The notebooks as pages of the site."""

from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

_ABOUT = (
    "[`{name}`](../../notebooks/{name}) of the repository, as `make docs` ran it. The cell of"
    " parameters holds small sizes here; `make notebooks` runs it whole."
)


def notebook_pages(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield a page for each notebook of a folder, with the outputs that it has."""
    exporter = MarkdownExporter()
    for path in sorted(folder.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
        text, resources = exporter.from_notebook_node(notebook)
        for name, content in (resources.get("outputs") or {}).items():
            text = text.replace(name, _data_address(name, content))
        title, _, rest = text.partition("\n\n")
        yield (
            Path("notebooks") / f"{path.stem}.md",
            f"{title}\n\n{_ABOUT.format(name=path.name)}\n\n{rest}",
        )


def _data_address(name: str, content: bytes) -> str:
    from base64 import b64encode

    kind = {"svg": "svg+xml"}.get(name.rpartition(".")[2], name.rpartition(".")[2])
    return f"data:image/{kind};base64,{b64encode(content).decode()}"
