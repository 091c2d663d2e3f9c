"""Extractive question answering over long documents, trained with PyTorch Lightning.

The public names are loaded at first use, so that ``import qa_lightning`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from qa_lightning.answerer import AnswerQuestions, QuestionAnswerer
    from qa_lightning.attention import use_windowed_attention
    from qa_lightning.callbacks import AnswerEvaluation
    from qa_lightning.datamodule import QADataModule
    from qa_lightning.model import QAModule
    from qa_lightning.running import Run, fit
    from qa_lightning.scores import squad_scores

_HOMES = {
    "AnswerEvaluation": "callbacks",
    "AnswerQuestions": "answerer",
    "QADataModule": "datamodule",
    "QAModule": "model",
    "QuestionAnswerer": "answerer",
    "Run": "running",
    "fit": "running",
    "squad_scores": "scores",
    "use_windowed_attention": "attention",
}

__all__ = [
    "AnswerEvaluation",
    "AnswerQuestions",
    "QADataModule",
    "QAModule",
    "QuestionAnswerer",
    "Run",
    "fit",
    "squad_scores",
    "use_windowed_attention",
]


def __getattr__(name: str) -> Any:
    """Import the module that holds a public name (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names beside the module's own."""
    return sorted({*globals(), *__all__})
