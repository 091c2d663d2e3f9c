"""The callbacks: answers and scores at each validation, checkpoints, trackers, the terminal."""

from qa_lightning.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from qa_lightning.callbacks.evaluation import AnswerEvaluation
from qa_lightning.callbacks.predictions import PredictionWriter
from qa_lightning.callbacks.preview import AnswerPreview
from qa_lightning.callbacks.rank_watch import RankWatch
from qa_lightning.callbacks.run_folder import RunFolder
from qa_lightning.callbacks.stopping import GracefulStop
from qa_lightning.callbacks.terminal import TerminalProgress
from qa_lightning.callbacks.throughput import Throughput
from qa_lightning.callbacks.tracking import RunTracking

__all__ = [
    "AnswerEvaluation",
    "AnswerPreview",
    "BestCheckpoint",
    "GracefulStop",
    "LastCheckpoint",
    "PredictionWriter",
    "RankWatch",
    "RunFolder",
    "RunTracking",
    "TerminalProgress",
    "Throughput",
]
