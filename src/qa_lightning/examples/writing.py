"""Rows → one JSON document: in the shape of SQuAD's files, or as tasks for Label Studio."""

from collections.abc import Iterable, Mapping
from os import PathLike, fspath
from typing import Any, Final

from qa_lightning.examples.annotation import label_studio_tasks

LABEL_STUDIO: Final = ".label_studio.json"  # what the name of a file of its tasks ends in


def json_document(
    path: str | PathLike[str], rows: Iterable[Mapping[str, Any]], *, version: str
) -> Any:
    """Return rows in the shape that a file's name asks for: Label Studio's tasks, or SQuAD's."""
    if fspath(path).lower().endswith(LABEL_STUDIO):
        return list(label_studio_tasks(rows))
    return squad_document(rows, version=version)


def squad_document(rows: Iterable[Mapping[str, Any]], *, version: str) -> dict[str, Any]:
    """Nest rows under their titles and contexts; those without an answer are marked.

    Args:
        rows: with the canonical columns.
        version: what the document says of itself.

    >>> row = {"id": "1", "title": "t", "context": "c", "question": "q"}
    >>> rows = [{**row, "answers": {"text": [], "answer_start": []}}]
    >>> squad_document(rows, version="1")["data"][0]["paragraphs"][0]["qas"]
    [{'id': '1', 'question': 'q', 'answers': [], 'is_impossible': True}]
    """
    articles: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for row in rows:
        contexts = articles.setdefault(row["title"], {})
        pairs = zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
        answers = [{"text": text, "answer_start": start} for text, start in pairs]
        question = {"id": row["id"], "question": row["question"], "answers": answers}
        marked = question if answers else {**question, "is_impossible": True}
        contexts.setdefault(row["context"], []).append(marked)
    return {
        "version": version,
        "data": [
            {
                "title": title,
                "paragraphs": [
                    {"context": context, "qas": qas} for context, qas in contexts.items()
                ],
            }
            for title, contexts in articles.items()
        ],
    }
