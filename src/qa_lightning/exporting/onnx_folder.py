"""A checkpoint as a folder that runs by onnxruntime, numpy and tokenizers alone."""

import json
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from qa_lightning import borders
from qa_lightning.answerer.loading import Reader
from qa_lightning.answerer.stored import SETTINGS_FILE
from qa_lightning.errors import InputError
from qa_lightning.features import layout_of

GRAPH = "model.onnx"
_NEEDED = ("onnx", "onnxscript", "onnxruntime")

USAGE = """```bash
pip install onnxruntime numpy tokenizers
python answer.py "QUESTION" DOCUMENT.txt
```

reads a text in UTF-8 and prints the answer as JSON, null where there is none, and the other best
ones. From Python, in this folder:

```python
from pathlib import Path

from answer import Answerer

found = Answerer(Path(".")).answer("QUESTION", "DOCUMENT OF ANY LENGTH")
```

`model.onnx` (its weights are in `model.onnx.data`) takes {inputs}: int64, any
number of windows by up to {length} tokens{bound}. It gives
`start_logits` and `end_logits`. `answer.py` cuts documents into windows, and chooses among their
spans, as qa_lightning's `QuestionAnswerer` does with `screen="all"`; `qa_lightning.json` has the
numbers. Before this folder was written it was compared with the checkpoint:
{compared}."""


def check_onnx_is_there() -> None:
    """Refuse to begin without what an export needs.

    Raises:
        InputError: a package is not installed.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise InputError(
            f"Expected the packages of `--format onnx`; {', '.join(missing)} is not installed: "
            "pip install 'qa-lightning[onnx]'"
        )


def _check_search(reader: Reader) -> None:
    """Refuse what the folder's runner does not know.

    Raises:
        InputError: spans are searched as the classic scripts do.
    """
    if reader.decision.search != "exact":
        raise InputError(
            f"Expected `evaluation.search` exact for `--format onnx`, whose answers come of the "
            f"exact search; got {reader.decision.search!r}. Validate the checkpoint with it, and "
            "export what that run keeps, or export without `--format onnx`."
        )


def _runner_settings(reader: Reader) -> dict[str, Any]:
    """Return what the runner has to know of the tokenizer to lay out windows as the reader does."""
    tokenizer, chosen = reader.tokenizer, reader.global_attention
    layout = layout_of(tokenizer, reader.windows.separators)
    named = chosen if isinstance(chosen, str) else None if chosen else "question"
    return {
        "special_tokens": [list(ids) for ids in (layout.before, layout.between, layout.after)],
        "cls": [layout.cls_group, layout.cls_index],
        "question_first": layout.question_first,
        "from_the_end": tokenizer.truncation_side == "left",
        "split_special_tokens": bool(getattr(tokenizer, "split_special_tokens", False)),
        "global_question": named in ("question", "question+cls", "question_only"),
        "global_cls": named in ("question", "question+cls", "cls"),
        "global_columns": list(chosen or ()) if named is None else [],
    }


def write_settings(settings: Mapping[str, Any], folder: Path) -> None:
    """Write what ``QuestionAnswerer`` reads, and the runner."""
    text = json.dumps(settings, indent=2, ensure_ascii=False) + "\n"
    (folder / SETTINGS_FILE).write_text(text, encoding="utf-8")


def write_onnx(
    reader: Reader, settings: Mapping[str, Any], folder: Path, *, quantization: str | None = None
) -> str:
    """Write graph, tokenizer, settings and runner, and compare them with the checkpoint.

    Returns:
        How to use the folder, for its card.

    Raises:
        InputError: the network cannot be written so, or does not answer alike.
    """
    # Only what `check_onnx_is_there` has found may be imported.
    from qa_lightning.exporting import graph, quantizing

    _check_search(reader)
    with graph.quietly(), tempfile.TemporaryDirectory(dir=folder) as scratch:
        whole = folder if quantization is None else Path(scratch)
        graph.write_graph(reader, whole / GRAPH)
        difference = graph.check_logits(reader, whole / GRAPH)
        write_beside(reader, settings, whole)
        graph.check_answers(reader, whole)
        told = f"the logits differ by {max(difference, 1e-7):.0e} of the largest at the most"
        if quantization is not None:
            quantizing.quantize(whole / GRAPH, folder / GRAPH)
            write_beside(reader, settings, folder)
            share = quantizing.check_agreement(reader, folder)
            told = f"weights are in int8, and {share:.1%} of generated questions keep their answer"
    return _usage(reader, told)


def write_beside(reader: Reader, settings: Mapping[str, Any], folder: Path) -> None:
    """Write all but the graph: tokenizer, settings and runner."""
    from qa_lightning.exporting import runner

    with reader.lock:
        backend = reader.tokenizer.backend_tokenizer
        backend.no_truncation()  # what the last call asked for is part of the file
        backend.no_padding()
        backend.save(str(folder / "tokenizer.json"))
    windows = settings["windows"] | _runner_settings(reader)
    write_settings({**settings, "windows": windows}, folder)
    for module, name in ((runner, "answer.py"), (borders, "borders.py")):
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        source = source.replace("from qa_lightning.borders", "from borders")
        (folder / name).write_text(source, encoding="utf-8")


def _usage(reader: Reader, compared: str) -> str:
    from qa_lightning.exporting import graph

    names = graph.input_names(reader)
    most = graph.most_globals(reader)
    return USAGE.format(
        inputs=", ".join(f"`{name}`" for name in names),
        length=reader.windows.max_length,
        bound=f", of which {most} may attend globally" if most else "",
        compared=compared,
    )
