"""The options of every command that asks a trained reader, and the reader that they name."""

from typing import TYPE_CHECKING

import jsonargparse

from qa_lightning.bars import Bars
from qa_lightning.folders import check_checkpoint_is_there

if TYPE_CHECKING:
    from qa_lightning.answerer import QuestionAnswerer


def add_reader(parser: jsonargparse.ArgumentParser) -> None:
    """Add what names a checkpoint, and where it runs."""
    parser.add_argument(
        "--checkpoint",
        required=True,
        help="a .ckpt file, a run's folder, an exported folder, or the Hub id of any"
        " question-answering model",
    )
    parser.add_argument("--device", type=str | None, default=None, help="cpu, cuda, mps")
    parser.add_argument(
        "--precision",
        default="float32",
        help="of the network's products: float32, bf16, int8, auto (bf16 where the device has it)",
    )
    parser.add_argument("--revision", type=str | None, default=None, help="of a model on the Hub")


def load_reader(cfg: jsonargparse.Namespace) -> "QuestionAnswerer":
    """Load what ``add_reader``'s options name.

    Raises:
        InputError: it is not there, or cannot be read.
    """
    check_checkpoint_is_there(cfg.checkpoint)  # before torch is loaded
    from transformers.utils import logging

    from qa_lightning.answerer import QuestionAnswerer

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    with Bars() as bars:
        bars(f"loading {cfg.checkpoint}", 0)
        return QuestionAnswerer.from_checkpoint(
            cfg.checkpoint,
            revision=cfg.revision,
            device=cfg.device,
            precision=cfg.precision,
        )
