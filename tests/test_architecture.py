"""The layering of the package, and the sizes of its pieces."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "qa_lightning"

# Who may import whom, of ours. `borders`, `languages`, `marking`, `normalization` are leaves;
# `bars`, `errors` and `ranges` are everyone's.
ALLOWED: dict[str, set[str]] = {
    "__main__": {"cli"},
    "alignment": {"borders", "examples", "languages", "marking", "normalization"},
    "answerer": {
        "answers",
        "attention",
        "backbones",
        "batches",
        "candidates",
        "documents",
        "examples",
        "features",
        "folders",
        "marking",
        "processors",
        "saved",
        "screening",
    },
    "answers": {"examples", "candidates"},
    "app": {"answerer", "documents", "examples", "folders", "reports"},
    "attention": set(),
    "backbones": {"folders", "saved"},
    "batches": {"features"},
    "bars": {"notebook_bars"},
    "borders": set(),
    "processors": set(),
    "bounds": set(),
    "cache": {"folders"},
    "calibration": {"answers", "scores"},
    "callbacks": {
        "alignment",
        "answerer",
        "answers",
        "batches",
        "borders",
        "calibration",
        "candidates",
        "demo",
        "examples",
        "features",
        "folders",
        "languages",
        "notebook_bars",
        "reports",
        "resuming",
        "saved",
        "scores",
        "shortage",
        "screening",
        "trackers",
    },
    "candidates": {"features"},
    "comparison": {"bounds", "calibration", "scores"},
    "datamodule": {
        "alignment",
        "answerer",
        "batches",
        "cache",
        "demo",
        "examples",
        "features",
        "folders",
        "languages",
        "resuming",
        "saved",
        "screening",
    },
    "demo": set(),
    "documents": {"encodings"},
    "encodings": set(),
    "errors": set(),
    "examples": {"demo", "documents", "encodings", "folders"},
    "exporting": {
        *("answerer", "attention", "backbones", "batches", "borders", "demo", "features"),
        *("folders", "saved"),
    },
    "features": {"borders", "examples"},
    "folders": set(),
    "footprint": {"attention", "backbones", "batches", "model"},
    "initialization": set(),
    "languages": set(),
    "longify": {"folders", "saved"},
    "model": {
        "attention",
        "backbones",
        "initialization",
        "objectives",
        "processors",
        "resuming",
        "saved",
    },
    "marking": set(),
    "normalization": set(),
    "notebook_bars": set(),
    "ranges": set(),
    "objectives": set(),
    "reports": {
        "alignment",
        "examples",
        "answers",
        "calibration",
        "comparison",
        "languages",
        "scores",
    },
    "resuming": {"saved"},
    "saved": {"bounds", "folders"},
    # The command line, called from Python: one way to train, and one run folder.
    "running": {
        *("alignment", "answerer", "answers", "cli", "datamodule", "examples", "reports"),
        "resuming",
    },
    "screening": {"documents", "encodings", "features", "folders", "languages"},
    "shortage": set(),
    "scores": {"answers", "examples", "languages", "normalization"},
    "service": {"answerer", "documents"},
    "trackers": {"reports", "saved"},
    # The command line, called for each trial.
    "tuning": {"bounds", "cli", "comparison", "reports"},
}
SHELLS = {
    "callbacks",
    "cli",
    "datamodule",
    "footprint",
    "model",
    "resuming",
    "running",
    "trackers",
    "tuning",
}
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 50
LONGER_FILES: dict[str, str] = {
    "answerer/answering.py": "one class: every way to ask, with each argument told",
    "datamodule/__init__.py": "one class: its arguments are the `data:` keys, each with a line",
    "languages.py": "a table: nothing language-specific stands elsewhere",
    "model/__init__.py": "one class and the helpers that only it calls",
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def piece_of(path: Path) -> str:
    """Return the top-level module that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """Return the full names of all modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def ours(path: Path) -> set[str]:
    return {
        name.split(".")[1]
        for name in imports_of(path)
        if (name.startswith("qa_lightning.") and (PACKAGE / name.split(".")[1]).exists())
        or (name.startswith("qa_lightning.") and (PACKAGE / f"{name.split('.')[1]}.py").exists())
    }


def test_what_is_imported_is_a_declared_dependency_with_a_bound_and_a_reason() -> None:
    """A package that only comes along with another one may be gone in that one's next release."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    extras = project["optional-dependencies"]
    optional = [line for name, lines in extras.items() if name != "dev" for line in lines]
    lines = [*project["dependencies"], *optional, "pillow>=0"]  # pillow: tensorboard's own
    declared = {re.split(r"[\[>]", line)[0].lower() for line in lines}
    distributions = packages_distributions()
    imported = {name.split(".")[0] for path in modules() for name in imports_of(path)}
    outside = imported - sys.stdlib_module_names - {"qa_lightning", "__future__"}
    for module in outside:
        names = {name.lower() for name in distributions.get(module, [module])}
        assert names & declared, f"{module} is imported, and no dependency of pyproject.toml"
    for line in project["dependencies"]:
        assert re.search(rf'"{re.escape(line)}", +# \w', text), f"{line}: no reason"
        assert ">=" in line, f"{line}: no lower bound"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_follow_the_table(path: Path) -> None:
    piece = piece_of(path)
    if piece in ("__init__", "cli"):
        return
    extra = ours(path) - ALLOWED[piece] - {piece, "bars", "errors", "ranges"}
    assert not extra, f"{piece} may not import {extra}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_shells_import_lightning(path: Path) -> None:
    lightning = {name for name in imports_of(path) if name.split(".")[0] == "lightning"}
    assert not lightning or piece_of(path) in SHELLS


def test_the_table_has_no_cycle_and_only_entries_import_cli() -> None:
    callers = {piece for piece, allowed in ALLOWED.items() if "cli" in allowed}
    assert callers == {"__main__", "running", "tuning"}
    assert not any("running" in allowed for allowed in ALLOWED.values())
    order: list[str] = []
    left = {piece: set(allowed) & ALLOWED.keys() for piece, allowed in ALLOWED.items()}
    while left:
        free = [piece for piece, allowed in left.items() if allowed <= set(order)]
        assert free, f"a cycle among {sorted(left)}"
        order += free
        for piece in free:
            del left[piece]


def code_lines(path: Path, node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count a function's lines without docstring, comments and blank lines."""
    body = node.body
    first = body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        body = body[1:]
    if not body:
        return 0
    lines = path.read_text(encoding="utf-8").splitlines()[body[0].lineno - 1 : node.end_lineno]
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in lines)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_and_functions_stay_small(path: Path) -> None:
    name = str(path.relative_to(PACKAGE))
    count = len(path.read_text(encoding="utf-8").splitlines())
    assert count <= MAX_FILE_LINES or name in LONGER_FILES, f"{count} lines"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = code_lines(path, node)
            assert size <= MAX_FUNCTION_LINES, f"{node.name} has {size} code lines"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_prints_or_stands_on_this_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    assert not any(isinstance(c.func, ast.Name) and c.func.id == "print" for c in calls)
    assert path.name != "utils.py"


def test_importing_the_package_is_free() -> None:
    code = (
        "import sys, qa_lightning; "
        "heavy = {'torch', 'lightning', 'transformers', 'datasets'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))
