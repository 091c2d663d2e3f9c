"""What annotation tools export → rows, and rows → what Label Studio imports.

Haystack's and cdQA's annotators write SQuAD's shape, which ``nested`` reads; Haystack's feedback is
read in ``haystack``. The others know spans with labels, not questions: Label Studio has the
question in the task's data (its template for question answering), doccano in a column beside the
text or in the label, INCEpTION in a feature of the span (``webanno`` reads its other format).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from qa_lightning.examples.cells import whole_number
from qa_lightning.examples.haystack import haystack_rows, is_haystack
from qa_lightning.examples.rows import first_of
from qa_lightning.examples.schema import ColumnNames, LeftOut, Row, Unreadable

_STRUCTURES: Final = "%FEATURE_STRUCTURES"
_SHORT: Final = {"annotator", "annotation_id"}  # what Label Studio's JSON-MIN adds to the data
_UNDONE: Final = "Label Studio tasks that nobody has annotated, or that were skipped"
_NO_QUESTION: Final = (
    "UIMA CAS documents in which no span has a question: give the answers' layer a feature"
)
_SPANS: Final = ("label", "labels", "entities")  # doccano's, by version and export
_META: Final = ("meta", "metadata")
# The names of the tags in Label Studio's own template for question answering.
_TEXT, _ANSWER, _LABEL = "text", "answer", "Answer"


def annotated_rows(entry: Mapping[str, Any], columns: ColumnNames) -> Iterator[Row] | None:
    """Return the rows of one exported entry; None of what no annotation tool has written.

    Args:
        entry: an object of a list or a line, or a whole document.
        columns: the names that questions, contexts and ids may have.
    """
    if isinstance(entry.get(_STRUCTURES), list | dict):
        return _cas_rows(entry[_STRUCTURES], columns)
    if isinstance(entry.get("data"), dict) and _has_results(entry):
        return iter([_label_studio_row(entry, columns)])
    if entry.keys() >= _SHORT:
        return iter([_short_row(entry, columns)])
    if is_haystack(entry):
        return haystack_rows(entry, columns, _answers_name(columns))
    spans = None if _has_answers(entry, columns) else _labelled_spans(entry)
    return None if spans is None else _doccano_rows(entry, spans, columns)


def _has_results(entry: Mapping[str, Any]) -> bool:
    return any(isinstance(entry.get(name), list) for name in ("annotations", "completions"))


def _has_answers(entry: Mapping[str, Any], columns: ColumnNames) -> bool:
    return any(name in entry for form in columns.answer_forms for name in form)


def _row(
    columns: ColumnNames, answers: Sequence[Mapping[str, Any]] | None, **values: Any
) -> dict[str, Any]:
    """Return a row under the names that its columns are looked for by; what is None is absent."""
    named = {getattr(columns, name)[0]: value for name, value in values.items()}
    whole = named | {_answers_name(columns): answers}
    return {name: value for name, value in whole.items() if value is not None}


def _answers_name(columns: ColumnNames) -> str:
    forms = columns.answer_forms
    return "answers" if ("answers",) in forms else forms[0][0]


def _label_studio_row(task: Mapping[str, Any], columns: ColumnNames) -> Row:
    """Read a task: the spans of all its annotations that were not skipped, each once."""
    data = task["data"]
    values = {name: first_of(data, getattr(columns, name)) for name in ("title", "context")}
    values["question"] = first_of(data, columns.question)
    if values["question"] is None or values["context"] is None:
        return Unreadable(
            f"is a Label Studio task whose data has {sorted(map(str, data))}, and not a question "
            "and a text"
        )
    made = [*(task.get("annotations") or ()), *(task.get("completions") or ())]
    finished = [one for one in made if isinstance(one, dict) and not _is_skipped(one)]
    found = [
        result.get("value")
        for one in finished
        for result in one.get("result") or ()
        if isinstance(result, dict)
    ]
    name = first_of(data, columns.id)
    values["id"] = task.get("id") if name is None else name
    if not finished:
        return LeftOut(_UNDONE, _row(columns, None, **values))
    return _row(columns, _label_studio_answers(found), **values)


def _is_skipped(annotation: Mapping[str, Any]) -> bool:
    return any(annotation.get(name) for name in ("was_cancelled", "skipped"))


def _short_row(entry: Mapping[str, Any], columns: ColumnNames) -> Row:
    """Read a line of the short export: the spans have their tag's name as key, none have no key."""
    names = ("id", "title", "context", "question")
    values = {name: first_of(entry, getattr(columns, name)) for name in names}
    found = [item for value in entry.values() if isinstance(value, list) for item in value]
    return _row(columns, _label_studio_answers(found), **values)


def _label_studio_answers(values: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the marked spans among all that a task was answered by, each once."""
    spans = [one for one in values if isinstance(one, dict) and "start" in one]
    answers = [_label_studio_span(one) for one in spans if isinstance(one.get("text"), str)]
    return list({(one["text"], str(one["answer_start"])): one for one in answers}.values())


def _label_studio_span(value: Mapping[str, Any]) -> dict[str, Any]:
    places = value.get("globalOffsets")  # in marked-up text `start` counts from its own element
    start = (places if isinstance(places, dict) else value).get("start")
    return {"text": value["text"], "answer_start": start}


def _labelled_spans(entry: Mapping[str, Any]) -> list[tuple[int, int, str]] | None:
    """Return doccano's spans (start, end, label); None where the entry has none of its shapes."""
    for name in _SPANS:
        if isinstance(entry.get(name), list):
            spans = [_labelled_span(item) for item in entry[name]]
            if None not in spans and (spans or "Comments" in entry or name == "entities"):
                return [span for span in spans if span is not None]
    return None


def _labelled_span(item: Any) -> tuple[int, int, str] | None:
    if isinstance(item, dict):
        item = [item.get(name) for name in ("start_offset", "end_offset", "label")]
    if not isinstance(item, list | tuple) or len(item) != 3:
        return None
    start, end = whole_number(item[0]), whole_number(item[1])
    return None if start is None or end is None else (start, end, str(item[2]))


def _doccano_rows(
    entry: Mapping[str, Any], spans: Sequence[tuple[int, int, str]], columns: ColumnNames
) -> Iterator[Row]:
    """Yield one row where a column has the question, else one for each label, which then asks."""
    metas = [entry[name] for name in _META if isinstance(entry.get(name), dict)]
    whole = {key: value for part in (*metas, entry) for key, value in part.items()}
    names = ("id", "title", "context", "question")
    values = {name: first_of(whole, getattr(columns, name)) for name in names}
    if not isinstance(context := values["context"], str):
        yield Unreadable("has labelled spans, and no text that they are of")
        return
    if values["question"] is not None:
        yield _row(columns, [_answer(context, *span[:2]) for span in spans], **values)
        return
    for number, label in enumerate(dict.fromkeys(label for _, _, label in spans), start=1):
        own = f"{values['id']}-{number}" if values["id"] is not None else None
        answers = [_answer(context, *span[:2]) for span in spans if span[2] == label]
        yield _row(columns, answers, **{**values, "id": own, "question": label})


def _answer(context: str, start: int, end: int) -> dict[str, Any]:
    return {"text": context[start:end], "answer_start": start}


def _cas_rows(structures: Any, columns: ColumnNames) -> Iterator[Row]:
    """Yield a row for each question of a UIMA CAS (INCEpTION), whose places count UTF-16 units."""
    listed = list(structures.values()) if isinstance(structures, dict) else structures
    listed = [one for one in listed if isinstance(one, dict)]
    texts = {one.get("%ID"): one["sofaString"] for one in listed if "sofaString" in one}
    titles = (one.get("documentTitle") for one in listed)
    title = next((name for name in titles if isinstance(name, str)), None)
    asked: dict[tuple[Any, str], list[dict[str, Any]]] = {}
    for one in listed:
        question, bounds = _feature_question(one, columns), _bounds(one)
        text = texts.get(one.get("@sofa"))
        if question is None or bounds is None or text is None:
            continue
        answers = asked.setdefault((one["@sofa"], question), [])
        start, end = (_characters(text, units) for units in bounds)
        if end > start and not first_of(one, columns.is_impossible):
            answers.append(_answer(text, start, end))
    for (sofa, question), answers in asked.items():
        yield _row(columns, answers, title=title, context=texts[sofa], question=question)
    if not asked:
        yield LeftOut(f"{_NO_QUESTION} that is called {columns.question[0]!r}")


def _bounds(structure: Mapping[str, Any]) -> tuple[int, int] | None:
    places = [whole_number(structure.get(f"^{n}", structure.get(n))) for n in ("begin", "end")]
    return (places[0], places[1]) if places[0] is not None and places[1] is not None else None


def _feature_question(structure: Mapping[str, Any], columns: ColumnNames) -> str | None:
    """Return the question of a span: a feature of that name, else one that is worded as one."""
    texts = {
        name.lower(): value
        for name, value in structure.items()
        if isinstance(value, str) and not name.startswith("%") and name != "sofaString"
    }
    named = [texts[name] for name in columns.question if name in texts]
    worded = [value for value in texts.values() if value.rstrip().endswith(("?", "？", "؟"))]
    return next(iter([*named, *worded]), None)


def _characters(text: str, units: int) -> int:
    """Return how many characters so many UTF-16 units are.

    >>> _characters("a😀b", 3)
    2
    """
    if text.isascii():
        return units
    return len(
        text.encode("utf-16-le", "surrogatepass")[: 2 * units].decode("utf-16-le", "replace")
    )


def label_studio_tasks(rows: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield rows as tasks that Label Studio imports into its template for question answering.

    Args:
        rows: with the canonical columns.

    >>> row = {"id": "1", "title": "", "context": "Em Lima.", "question": "Onde?"}
    >>> row["answers"] = {"text": ["Lima"], "answer_start": [3]}
    >>> next(label_studio_tasks([row]))["annotations"][0]["result"][0]["value"]
    {'start': 3, 'end': 7, 'text': 'Lima', 'labels': ['Answer']}
    """
    for row in rows:
        pairs = zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
        result = [
            {
                "id": f"{row['id']}-{number}",
                "from_name": _ANSWER,
                "to_name": _TEXT,
                "type": "labels",
                "value": {
                    "start": start,
                    "end": start + len(text),
                    "text": text,
                    "labels": [_LABEL],
                },
            }
            for number, (text, start) in enumerate(pairs, start=1)
        ]
        data = {_TEXT: row["context"], **{key: row[key] for key in ("question", "id", "title")}}
        yield {"data": data, "annotations": [{"result": result}]}
