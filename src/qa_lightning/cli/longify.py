"""``qa-lightning longify``: a Longformer made of a short-context checkpoint."""

import sys

import jsonargparse

from qa_lightning.bars import Bars


def build_parser() -> jsonargparse.ArgumentParser:
    """Return the command's parser."""
    parser = jsonargparse.ArgumentParser(
        description="Make a Longformer of a BERT, RoBERTa, XLM-RoBERTa, CamemBERT or BERTimbau"
        " checkpoint: the same hidden states for short inputs, and positions for long ones. Then"
        " `lightning fit --model.model_name_or_path OUTPUT`. With transformers alone, pass it a"
        " `global_attention_mask` (CLS and question): its Longformer makes one by itself only from"
        " three separators a row, and tokenizers of BERT models put two."
    )
    parser.add_argument("model", help="folder or Hub id of the short-context checkpoint")
    parser.add_argument("--output", required=True, help="a folder that is new or empty")
    parser.add_argument(
        "--max_length", type=int, default=4096, help="tokens that it has positions for"
    )
    parser.add_argument(
        "--attention_window",
        type=int,
        default=512,
        help="tokens that a token attends to, half of them on either side; even",
    )
    parser.add_argument("--revision", type=str | None, help="revision of a Hub checkpoint")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the answer head, if the checkpoint has none"
    )
    return parser


def run(cfg: jsonargparse.Namespace) -> None:
    """Write the Longformer; print its folder.

    Raises:
        InputError: the checkpoint, the folder or a number cannot be used.
    """
    from transformers.utils import logging

    from qa_lightning.longify import longify

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # we tell what matters
    with Bars() as bars:
        bars(f"reading and lengthening {cfg.model}", 0)
        folder = longify(
            cfg.model,
            cfg.output,
            max_length=cfg.max_length,
            attention_window=cfg.attention_window,
            revision=cfg.revision,
            seed=cfg.seed,
        )
    sys.stdout.write(f"{folder}\n")
