"""Run the notebooks from clean kernels: ``python notebooks/running.py [--small] --output FOLDER``."""

import argparse
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER: Final = Path(__file__).resolve().parent
NOTEBOOKS: Final = sorted(FOLDER.glob("*.ipynb"))
SMALL: Final[Mapping[str, Mapping[str, Any]]] = {
    "1_the_notebook": {
        "train_split": "train[:96]",
        "validation_split": "validation[:16]",
        "max_steps": 20,
    },
    "2_your_own_documents": {"documents": 8, "max_steps": 20},
    "3_dirty_labels": {
        "train_split": "train[:96]",
        "validation_split": "validation[:12]",
        "policies": ["keep", "repair"],
        "max_steps": 12,
    },
    "4_long_documents": {
        "train_split": "train[:48]",
        "validation_split": "validation[:8]",
        "max_steps": 8,
        "lengths": [128, 512],
    },
    "5_scores": {
        "train_split": "train[:96]",
        "validation_split": "validation[:32]",
        "max_steps": [10, 40],
    },
}
"""What the cell of parameters holds in a test, and in the documentation."""
SECONDS_A_CELL: Final = 1800


def with_parameters(notebook: NotebookNode, values: Mapping[str, Any]) -> NotebookNode:
    """Set names of the cell that is tagged ``parameters``, in that cell.

    Raises:
        ValueError: there is no such cell, or it has no such name.
    """
    cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    if len(cells) != 1:
        raise ValueError(f"Expected one cell tagged `parameters`; got {len(cells)}.")
    (cell,) = cells
    lines = cell.source.splitlines()
    for name, value in values.items():
        places = [at for at, line in enumerate(lines) if line.startswith(f"{name} = ")]
        if len(places) != 1:
            raise ValueError(f"Expected one line `{name} = …` among the parameters; got {places}.")
        lines[places[0]] = f"{name} = {value!r}"
    cell.source = "\n".join(lines)
    return notebook


def run(path: Path, values: Mapping[str, Any], folder: Path) -> NotebookNode:
    """Return a notebook with its outputs, run in a folder from a clean kernel.

    Args:
        path: of the notebook.
        values: parameters to set.
        folder: where the kernel works; what the notebook writes lies there.
    """
    notebook = with_parameters(nbformat.read(path, as_version=4), values)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=SECONDS_A_CELL,
        resources={"metadata": {"path": str(folder)}},
    )
    return client.execute()


def main() -> None:
    """Run all notebooks, or those that are named, and write them with their outputs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names; all notebooks without one")
    parser.add_argument("--small", action="store_true", help="at the size of a test")
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for path in NOTEBOOKS:
        if given.names and not any(name in path.stem for name in given.names):
            continue
        print(path.name, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            done = run(path, SMALL[path.stem] if given.small else {}, Path(folder))
        nbformat.write(done, given.output / path.name)


if __name__ == "__main__":
    main()
