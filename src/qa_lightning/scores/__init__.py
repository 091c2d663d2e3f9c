"""From answers and gold texts to exact match, F1, their certainty and their slices."""

from qa_lightning.scores.metric import squad_metric
from qa_lightning.scores.questions import question_word
from qa_lightning.scores.slices import SliceScore, slices
from qa_lightning.scores.squad import ExampleScores, example_scores, squad_scores
from qa_lightning.scores.statistics import bootstrap_interval

__all__ = [
    "ExampleScores",
    "SliceScore",
    "bootstrap_interval",
    "example_scores",
    "question_word",
    "slices",
    "squad_metric",
    "squad_scores",
]
