"""What a run's files say of its answers: which are wrong, and in what way."""

import csv
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from qa_lightning.comparison import EvaluatedRun, read_object
from qa_lightning.errors import InputError

Json = dict[str, Any]
Series = list[tuple[int, float]]

UNTRUSTED: Final = ("unaligned", "ambiguous")


@dataclass(frozen=True)
class Judged:
    """Hold one question with what is to be said of its answer.

    Attributes:
        id: the question's.
        record: what is kept of it.
        given: the text of the answer, ``""`` for none.
        n_best: spans, best first.
        is_right: an exact match of a gold or repaired text.
        f1: official, 0 to 100.
    """

    id: str
    record: Json
    given: str
    n_best: Sequence[Json]
    is_right: bool
    f1: float

    @property
    def has_answer(self) -> bool:
        """Say whether the question has one."""
        return bool(self.record["golds"])

    @property
    def outcome(self) -> str:
        """Return ``right``, ``near`` (some words are), ``none`` (no answer given) or ``wrong``."""
        if self.is_right:
            return "right"
        if not self.given:
            return "none"
        return "near" if self.f1 > 0 else "wrong"

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        """Return the trusted gold spans."""
        return [(span[0], span[1]) for span in self.record["spans"] if span[0] is not None]

    @property
    def status(self) -> str:
        """Return what alignment says of the gold answer, of the best of several."""
        if not self.has_answer:
            return "no answer"
        statuses = [str(span[2]) for span in self.record["spans"]]
        sure = [status for status in statuses if status not in UNTRUSTED]
        return next(iter([*sure, *statuses]), "not checked")

    @property
    def rank_of_gold(self) -> int | None:
        """Return the place of the first n-best span that is gold, from 0."""
        accepted = {*self.record["golds"], *self.record["repaired"]}
        spans = set(self.spans)
        places = (
            place
            for place, entry in enumerate(self.n_best)
            if entry.get("text") in accepted
            or (entry.get("start_char"), entry.get("end_char")) in spans
        )
        return next(places, None)

    @property
    def is_in_a_window(self) -> bool:
        """Say whether one window holds a whole gold span."""
        windows = self.record["windows"]
        return any(
            low <= start and end <= high for start, end in self.spans for low, high in windows
        )

    @property
    def gold_words(self) -> int:
        """Return the words of the shortest gold answer."""
        return min((len(str(text).split()) for text in self.record["golds"]), default=0)


@dataclass(frozen=True)
class Findings:
    """Hold all that a page tells of a run.

    Attributes:
        folder: the run's.
        run: its evaluation; None where there is no whole one.
        history: ``train``, ``val`` and ``test`` figures by step.
        ceiling: the best scores in reach on the evaluated questions; empty if not known.
    """

    folder: Path
    run: EvaluatedRun | None
    history: Mapping[str, Series]
    ceiling: Mapping[str, float]

    @cached_property
    def judged(self) -> list[Judged]:
        """Return the questions of the evaluation."""
        run = self.run
        if run is None:
            return []
        found = []
        for name, record in run.questions.items():
            accepted = record.get("exact_match", 0.0) > 0
            given = run.predictions[name]
            right = accepted or (given != "" and given in record.get("repaired", ()))
            n_best = run.n_best.get(name, [])
            found.append(Judged(name, record, given, n_best, right, float(record.get("f1", 0.0))))
        return found

    @cached_property
    def wrong(self) -> list[Judged]:
        """Return those that are not right."""
        return [each for each in self.judged if not each.is_right]

    @property
    def made(self) -> Json:
        """Return configuration and provenance."""
        return self.run.made if self.run else read_made(self.folder)

    @property
    def provenance(self) -> Json:
        """Return what the results depend on beside the configuration."""
        found = self.made.get("provenance")
        return found if isinstance(found, dict) else {}

    def setting(self, key: str, default: Any = None) -> Any:
        """Return a key of the configuration."""
        value: Any = self.run.config if self.run and self.run.config else self.made
        for name in key.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return default if value is None else value

    def series(self, key: str) -> Series:
        """Return a figure by step."""
        return list(self.history.get(key, ()))


def outcomes_by_part(found: Findings) -> Iterator[tuple[str, str, list[Judged]]]:
    """Yield kind, name and questions of each part of the data, in their natural order."""
    parts: dict[tuple[str, int, str], list[Judged]] = defaultdict(list)
    for each in found.judged:
        for kind, (place, value) in each.record["parts"].items():
            parts[kind, int(place), str(value)].append(each)
    kinds = list(dict.fromkeys(kind for kind, _, _ in parts))
    for kind, place, value in sorted(parts, key=lambda part: (kinds.index(part[0]), *part[1:])):
        yield kind, value, parts[kind, place, value]


def read_made(folder: Path) -> Json:
    """Return the record of the command that trained, if there is one."""
    path = folder / "reports" / "fit.json"
    return read_object(path) if path.is_file() else {}


def read_findings(folder: Path, run: EvaluatedRun | None) -> Findings:
    """Read the rest of a run's files.

    Raises:
        InputError: a file cannot be read.
    """
    history: dict[str, Series] = {}
    for stage in ("train", "val", "test"):
        history |= read_history(folder / "reports" / stage / "history.csv")
    stage = run.stage if run else "val"
    path = folder / "reports" / stage / "ceiling.json"
    ceiling = read_object(path) if path.is_file() else {}
    return Findings(folder, run, history, ceiling)


def read_history(path: Path) -> dict[str, Series]:
    """Return figures by name and step; of a step that was done again, the last.

    Raises:
        InputError: the file cannot be read.
    """
    if not path.is_file():
        return {}
    found: dict[str, dict[int, float]] = defaultdict(dict)
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            for row in csv.reader(file):
                if len(row) == 3 and row[0].lstrip("-").isdigit():
                    value = float(row[2])
                    if math.isfinite(value):
                        found[row[1]][int(row[0])] = value
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"Expected step, name and value in {path}; {error}. Remove it.") from None
    return {name: sorted(values.items()) for name, values in found.items()}
