"""The answers of some examples, scored in every way that is reported."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Protocol

import datasets
import numpy as np
import numpy.typing as npt

from qa_lightning.answers import QuestionAnswers
from qa_lightning.calibration import (
    Calibration,
    confidences,
    expected_calibration_error,
    fit_temperature,
    held_out,
    reliability,
    risk_coverage,
    sweep_threshold,
)
from qa_lightning.languages import language_of
from qa_lightning.reports.questions import WindowSpans, question_records
from qa_lightning.scores import (
    ExampleScores,
    bootstrap_interval,
    example_scores,
    slices,
    squad_scores,
)
from qa_lightning.scores.slices import example_parts

_EXAMPLES_AT_ONCE = 256  # the contexts of a whole split may not fit into memory
_WINDOWS_AT_ONCE = 4_096

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class SplitData(Protocol):
    """Examples and their windows."""

    @property
    def examples(self) -> datasets.Dataset:
        """Return the examples."""

    @property
    def features(self) -> datasets.Dataset:
        """Return the windows; the row number is the ``feature_index``."""


def window_examples(split: SplitData) -> Ints:
    """Return each window's row in the examples."""
    table = split.features.select_columns("example_index").with_format("arrow")[:]
    return np.asarray(table["example_index"].to_numpy(), dtype=np.int64)


def window_spans(split: SplitData) -> WindowSpans:
    """Return what characters of its context each window sees."""
    column = split.features.select_columns("context_offsets").with_format("arrow")
    ends: list[Ints] = []
    for first in range(0, len(column), _WINDOWS_AT_ONCE):
        for chunk in column[first : first + _WINDOWS_AT_ONCE]["context_offsets"].chunks:
            flat = np.append(np.asarray(chunk.values), 0)  # a window may be empty
            bounds = np.asarray(chunk.offsets)
            ends.append(np.stack([flat[bounds[:-1]], flat[bounds[1:] - 1]]).astype(np.int64))
    start_w, end_w = np.concatenate([np.empty((2, 0), np.int64), *ends], axis=1)
    return WindowSpans(window_examples(split), start_w, end_w)


@dataclass(frozen=True)
class Gold:
    """Hold the gold texts of some examples, by id, in the examples' order.

    Attributes:
        official: the untouched gold texts; none for an unanswerable question.
        repaired: these and the texts of the spans that alignment repairs, whatever spans the
            policy labels.
    """

    official: Mapping[str, Sequence[str]]
    repaired: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, examples: datasets.Dataset, rows: Ints) -> "Gold":
        """Read the gold texts of some rows."""
        has_others = "repaired_spans" in examples.column_names
        repairs = "repaired_spans" if has_others else "spans"
        columns = examples.select_columns(["id", "context", "answers", repairs])
        official: dict[str, list[str]] = {}
        repaired: dict[str, list[str]] = {}
        for block in range(0, len(rows), _EXAMPLES_AT_ONCE):
            batch = columns[rows[block : block + _EXAMPLES_AT_ONCE].tolist()]
            for name, context, gold, spans in zip(*batch.values(), strict=True):
                pairs = zip(spans["start_char"], spans["end_char"], strict=True)
                found = [context[start:end] for start, end in pairs if start is not None]
                official[name] = list(gold["text"])
                repaired[name] = list(dict.fromkeys([*gold["text"], *found]))
        return cls(official, repaired)

    @property
    def has_unanswerable(self) -> bool:
        """Say whether some question has no answer."""
        return not all(self.official.values())


def best_threshold(answers: Sequence[QuestionAnswers], gold: Gold) -> float:
    """Return the threshold of the null odds with the best F1."""
    spans = {answer.id: answer.best_text for answer in answers}
    scores = example_scores(spans, gold.official)
    has_answer = [bool(texts) for texts in gold.official.values()]
    odds = [answer.null_odds for answer in answers]
    return sweep_threshold(odds, has_answer, scores.f1_e).threshold


@dataclass(frozen=True)
class Scored:
    """Score decided answers.

    Attributes:
        answers: one record an example.
        gold: gold texts of the same examples in the same order.
        split: the split's examples and features.
        rows: the examples' rows in the split.
        language: adds scores by this language's rules, and slices by question word.
    """

    answers: Sequence[QuestionAnswers]
    gold: Gold
    split: SplitData
    rows: Ints
    language: str | None

    @cached_property
    def predictions(self) -> dict[str, str]:
        """Return the given texts by id."""
        return {answer.id: answer.text for answer in self.answers}

    @cached_property
    def by_example(self) -> ExampleScores:
        """Return each example's official scores."""
        return example_scores(self.predictions, self.gold.official)

    @cached_property
    def by_repaired(self) -> ExampleScores:
        """Return each example's scores where the repaired texts count as gold too."""
        return example_scores(self.predictions, self.gold.repaired)

    @cached_property
    def is_correct(self) -> dict[str, bool]:
        """Say by id whether an answer is correct: an exact match of a gold or repaired text."""
        scores = self.by_repaired
        return dict(zip(scores.ids, (scores.exact_e > 0).tolist(), strict=True))

    def figures(self) -> dict[str, float]:
        """Return the official figures, those of the language's rules, and of repaired golds."""
        official = squad_scores(self.predictions, self.gold.official, language=self.language)
        repaired = squad_scores(self.predictions, self.gold.repaired)
        for name in [name for name in official if name.endswith("total") or name == "exact"]:
            del official[name]
        official |= {f"{name}_repaired": repaired[name] for name in ("exact_match", "f1")}
        return official | self._best_figures()

    def _best_figures(self) -> dict[str, float]:
        """Return the best figures over all thresholds, as the script of SQuAD 2.0 finds them."""
        if not self.gold.has_unanswerable:
            return {}
        swept = squad_scores(
            {answer.id: answer.best_text for answer in self.answers},
            self.gold.official,
            no_answer_scores={answer.id: answer.null_odds for answer in self.answers},
            no_answer_threshold=math.inf,
        )
        return {name: value for name, value in swept.items() if name.startswith("best_")}

    def intervals(self) -> dict[str, float]:
        """Return the ends of the 95 % bootstrap intervals of all figures that are means."""
        ends = {}
        context_e = self._contexts()
        for name, (values_e, which_e) in self._means().items():
            groups = context_e[which_e].tolist()
            interval = bootstrap_interval(values_e[which_e], groups_e=groups)
            ends[f"{name}_low"], ends[f"{name}_high"] = interval
        return ends

    def _contexts(self) -> Ints:
        """Return a number for each example's context, without holding all contexts."""
        examples = self.split.examples.select(self.rows).select_columns(["context"])
        batches = examples.with_format(None).iter(batch_size=_EXAMPLES_AT_ONCE)
        return np.array([hash(text) for batch in batches for text in batch["context"]], np.int64)

    def _means(self) -> dict[str, tuple[Floats, Flags]]:
        """Return by figure the values of the examples, and of which of them it is the mean."""
        kinds = {"": self.by_example, "_repaired": self.by_repaired}
        if self.language is not None:
            scores = example_scores(self.predictions, self.gold.official, language=self.language)
            kinds[f"_{language_of(self.language).code}"] = scores
        all_e = np.ones(len(self.answers), dtype=np.bool_)
        values: dict[str, tuple[Floats, Flags]] = {}
        for suffix, scores in kinds.items():
            values[f"exact_match{suffix}"] = scores.exact_e, all_e
            values[f"f1{suffix}"] = scores.f1_e, all_e
        if self.gold.has_unanswerable:
            has_answer_e = np.array([bool(texts) for texts in self.gold.official.values()])
            for prefix, which_e in (("HasAns", has_answer_e), ("NoAns", ~has_answer_e)):
                if which_e.any():
                    values[f"{prefix}_exact"] = self.by_example.exact_e, which_e
                    values[f"{prefix}_f1"] = self.by_example.f1_e, which_e
        return values

    @property
    def _window_count_e(self) -> Ints:
        count_e = np.bincount(window_examples(self.split), minlength=len(self.split.examples))
        return count_e[self.rows]

    def slices(self) -> list[dict[str, Any]]:
        """Return exact match and F1 of the parts of the data."""
        parts = slices(
            self.by_example,
            self.split.examples.select(self.rows),
            window_count_e=self._window_count_e,
            language=self.language,
        )
        return [asdict(part) for part in parts]

    def questions(self, answers: Sequence[QuestionAnswers]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield what is kept of each question.

        Args:
            answers: those scored, with their last confidences.
        """
        parts = example_parts(
            self.split.examples.select(self.rows),
            window_count_e=self._window_count_e,
            language=self.language,
        )
        return question_records(
            answers,
            self.split.examples,
            scores=self.by_example,
            repaired=self.gold.repaired,
            parts=list(parts),
            windows=window_spans(self.split),
        )

    def fit_temperature(self) -> Calibration:
        """Fit the temperature of the confidences on one half, and report on the other."""
        return fit_temperature(self.answers, self.is_correct)

    def reported(self, *, fit: bool) -> Sequence[QuestionAnswers]:
        """Return the answers whose confidences are reported on.

        Args:
            fit: leave out those that :meth:`fit_temperature` looked at, if that leaves any.
        """
        return (held_out(self.answers) if fit else ()) or self.answers

    def confidence_report(
        self, answers: Sequence[QuestionAnswers], temperature: float
    ) -> tuple[float, dict[str, list[dict[str, Any]]]]:
        """Return calibration error, 0 to 1, reliability and risk-coverage curve of some answers."""
        confidence_e = confidences(answers, temperature)
        correct = [self.is_correct[answer.id] for answer in answers]
        return expected_calibration_error(confidence_e, correct), {
            "reliability": [asdict(part) for part in reliability(confidence_e, correct)],
            "risk_coverage": [asdict(point) for point in risk_coverage(confidence_e, correct)],
        }
