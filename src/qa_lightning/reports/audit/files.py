"""An audit as files: a JSON line per answer, and the data set with repaired spans."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from datasets import Dataset

from qa_lightning.reports.writing import write_whole


def audit_lines(aligned: Dataset) -> Iterator[dict[str, Any]]:
    """Yield one record per answer of aligned examples.

    ``start_char``, ``end_char`` and ``text`` are None where no span is trusted.
    """
    for row in aligned.select_columns(["id", "context", "answers", "spans"]):
        spans = row["spans"]
        for index, answer in enumerate(row["answers"]["text"]):
            start, end = spans["start_char"][index], spans["end_char"][index]
            yield {
                "id": row["id"],
                "answer": answer,
                "status": spans["status"][index],
                "start_char": start,
                "end_char": end,
                "text": None if start is None else row["context"][start:end],
                "confidence": round(spans["confidence"][index], 4),
            }


def repaired_squad(aligned: Dataset) -> dict[str, Any]:
    """Return aligned examples in the format of SQuAD, with the trusted spans as answers.

    Answers without a trusted span are left out, and questions that keep none of theirs; questions
    that never had an answer stay, marked ``is_impossible``.
    """
    articles: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for row in aligned:
        questions = articles.setdefault(row["title"], {})
        answers = _repaired_answers(row)
        is_impossible = not row["answers"]["text"]
        if answers or is_impossible:
            question = {"id": row["id"], "question": row["question"], "answers": answers}
            marked = {**question, "is_impossible": True} if is_impossible else question
            questions.setdefault(row["context"], []).append(marked)
    return {
        "version": "repaired",
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


def _repaired_answers(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    spans = zip(row["spans"]["start_char"], row["spans"]["end_char"], strict=True)
    return [
        {"text": row["context"][start:end], "answer_start": start}
        for start, end in spans
        if start is not None
    ]


def write_lines(path: str | os.PathLike[str], records: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON lines, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    write_whole(path, lines)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write one JSON document, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    write_whole(path, (json.dumps(value, ensure_ascii=False, indent=1) + "\n",))
