"""From a checkpoint to answers in one line, without Lightning.

``QuestionAnswerer.from_checkpoint(path).answer(question, context)``. The steps, one module each:
``checkpoints`` (a Lightning checkpoint's plain contents), ``loading`` (checkpoint, folder or Hub
id → network, tokenizer, settings), ``stored`` (the settings beside a folder's weights),
``rows`` (what is asked), ``long_texts`` and ``cutting`` (questions and documents → windows, those
that are worth reading), ``running`` (windows → candidates), ``deciding`` (candidates → answers),
``records`` (what is answered), ``merging`` (answers of several documents), ``answering`` (the
order of these), ``opening`` (documents read once and asked often), ``pipeline`` (the calls and
results of transformers' removed pipeline).
``blocks`` and ``parts`` serve and write questions by the million, for ``lightning predict``;
``engines`` answers the batches of Ray Data or Spark.

A server or a page builds on three of its names: ``QuestionAnswerer`` (immutable, shared by all
threads), ``Document`` (a tokenized text, kept between questions) and ``Answers.to_dict``.
"""

from qa_lightning.answerer.answering import QuestionAnswerer
from qa_lightning.answerer.blocks import BlockPlan, prediction_loader
from qa_lightning.answerer.cutting import Document
from qa_lightning.answerer.engines import AnswerQuestions
from qa_lightning.answerer.loading import DecisionSettings, Reader, load_reader
from qa_lightning.answerer.opening import OpenDocument, OpenFolder
from qa_lightning.answerer.pipeline import QuestionAnsweringPipeline
from qa_lightning.answerer.records import Answers, PlacedAnswer, Snippet

__all__ = [
    "AnswerQuestions",
    "Answers",
    "BlockPlan",
    "DecisionSettings",
    "Document",
    "OpenDocument",
    "OpenFolder",
    "PlacedAnswer",
    "QuestionAnswerer",
    "QuestionAnsweringPipeline",
    "Reader",
    "Snippet",
    "load_reader",
    "prediction_loader",
]
