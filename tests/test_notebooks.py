"""The notebooks run from clean kernels, anywhere and offline, and are kept without outputs."""

import importlib.util
from pathlib import Path
from typing import Any

import nbformat
import pytest

from conftest import ROOT

FOLDER = ROOT / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))


def load() -> Any:
    """Return the script that runs them; `running` is the name of our own."""
    spec = importlib.util.spec_from_file_location("notebook_running", FOLDER / "running.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


NOTEBOOKS = load()


def name_of(path: Path) -> str:
    return path.stem


def test_there_are_five_and_each_has_a_small_size() -> None:
    assert [path.name[0] for path in PATHS] == list("12345")
    assert set(NOTEBOOKS.SMALL) == {path.stem for path in PATHS}


@pytest.mark.parametrize("path", PATHS, ids=name_of)
def test_it_is_kept_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert set(notebook.metadata.language_info) == {"name"}  # no machine's version


@pytest.mark.front_door
@pytest.mark.parametrize("path", PATHS, ids=name_of)
def test_it_runs_from_a_clean_kernel(path: Path, tmp_path: Path) -> None:
    done = NOTEBOOKS.run(path, NOTEBOOKS.SMALL[path.stem], tmp_path)
    outputs = [output for cell in done.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [output for output in outputs if "text/html" in output.get("data", {})]
    assert len(shown) >= 4  # tables and answers render as such
    assert not [output for output in outputs if output.output_type == "error"]
    assert (tmp_path / "runs").is_dir()  # it wrote where it ran


def test_a_parameter_that_is_not_there_is_refused() -> None:
    notebook = nbformat.read(PATHS[0], as_version=4)
    with pytest.raises(ValueError, match="steps = …"):
        NOTEBOOKS.with_parameters(notebook, {"steps": 3})
