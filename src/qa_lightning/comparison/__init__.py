"""Answers of several runs to the same questions → paired differences, and how sure they are."""

from qa_lightning.comparison.comparing import LEVEL, compare_runs
from qa_lightning.comparison.records import Change, Compared, Comparison, Difference, Figure
from qa_lightning.comparison.resampling import holm, paired_interval, paired_test, seed_test
from qa_lightning.comparison.runs import EvaluatedRun, read_config, read_object, read_runs
from qa_lightning.comparison.settings import flat

__all__ = [
    "LEVEL",
    "Change",
    "Compared",
    "Comparison",
    "Difference",
    "EvaluatedRun",
    "Figure",
    "compare_runs",
    "flat",
    "holm",
    "paired_interval",
    "paired_test",
    "read_config",
    "read_object",
    "read_runs",
    "seed_test",
]
