"""The corrections that people make: a file of examples."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from qa_lightning.errors import InputError
from qa_lightning.folders import stream_problems
from qa_lightning.reports.writing import place_problems, write_whole


class Corrections:
    """Keep corrected answers in one file, which may grow from several pages at once.

    The file is read, completed and put in place whole, under a lock: what was in it stays. A second
    correction of one question on one context takes the place of the first.

    Args:
        path: a ``.json`` file of SQuAD's shape, or a ``.label_studio.json``; need not exist.

    Raises:
        InputError: something else stands there, or it cannot be read as examples.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        if self.path.suffix.lower() != ".json":
            raise InputError(
                f"Expected a name that ends in .json for the corrections; got {str(path)!r}: they "
                "are written as SQuAD JSON."
            )
        for problem in (*stream_problems(self.path), *place_problems(self.path)):
            raise InputError(problem)
        self._rows()

    def keep(self, *, title: str, context: str, question: str, span: tuple[int, int] | None) -> int:
        """Write one correction; return how many the file then holds.

        Args:
            title: name of the document.
            context: its text.
            question: what was asked.
            span: the right answer's first character and the one past its last; None where the
                document does not answer the question.

        Raises:
            InputError: the file cannot be read or written; it is as it was.
        """
        texts = [] if span is None else [context[slice(*span)]]
        starts = [] if span is None else [span[0]]
        row = {
            "id": hashlib.sha256(f"{question}\0{context}".encode()).hexdigest()[:16],
            "title": title,
            "context": context,
            "question": question,
            "answers": {"text": texts, "answer_start": starts},
        }
        from qa_lightning.examples.writing import json_document

        with self._locked():
            rows = [one for one in self._rows() if not _is_same(one, row)] + [row]
            document = json_document(self.path, rows, version="corrections")
            write_whole(self.path, (json.dumps(document, ensure_ascii=False, indent=1) + "\n",))
        return len(rows)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = FileLock(self.path.with_name(f".{self.path.name}.lock"))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except OSError as error:
            raise InputError(
                f"Expected a place for corrections that can be written; {self.path} cannot: "
                f"{error.strerror or error}. Name another by `--corrections`."
            ) from error
        try:
            yield
        finally:
            lock.release()

    def _rows(self) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return iter(())
        from qa_lightning.examples import load_examples  # a second of `datasets`

        return iter(load_examples(self.path, unique_ids=False).to_list())


def _is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one[name] == other[name] for name in ("context", "question"))
