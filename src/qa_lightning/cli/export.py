"""``qa-lightning export``: a checkpoint as a folder for transformers, or for onnxruntime."""

import sys

import jsonargparse

from qa_lightning.bars import Bars


def build_parser() -> jsonargparse.ArgumentParser:
    """Return the command's parser."""
    parser = jsonargparse.ArgumentParser(
        description="Write a checkpoint as a folder that transformers loads: weights (safetensors),"
        " config, tokenizer and a model card with data, scores, threshold and use. Or, by"
        " --format onnx, as one that answers with onnxruntime, numpy and tokenizers alone, once it"
        " has given the checkpoint's logits and answers."
    )
    parser.add_argument(
        "--checkpoint", required=True, help="a .ckpt file, or a run's folder (its best checkpoint)"
    )
    parser.add_argument("--output", required=True, help="a folder that is new or empty")
    parser.add_argument(
        "--format",
        type=str,
        default="transformers",
        help="transformers, or onnx: pip install 'qa-lightning[onnx]' (default: transformers)",
    )
    parser.add_argument(
        "--quantize",
        type=str | None,
        default=None,
        metavar="int8",
        help="the weights of --format onnx in int8, if generated questions keep their answers",
    )
    parser.add_argument(
        "--scores",
        type=str | None,
        default=None,
        help="a scores.json for the model card (default: the run's own, if of this checkpoint)",
    )
    parser.add_argument(
        "--license",
        type=str | None,
        default=None,
        help="the licence for the model card, by its id on the Hub, such as apache-2.0",
    )
    parser.add_argument(
        "--push_to_hub",
        type=str | None,
        default=None,
        metavar="REPOSITORY",
        help="also upload it, as user/name; nothing leaves this machine without it",
    )
    parser.add_argument(
        "--private", action="store_true", help="make the uploaded repository private"
    )
    return parser


def run(cfg: jsonargparse.Namespace) -> None:
    """Export, and upload if that was asked for.

    Raises:
        InputError: the checkpoint or the folder cannot be used.
    """
    from transformers.utils import logging

    from qa_lightning.exporting import check_repository, export_checkpoint, push_to_hub

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if cfg.push_to_hub is not None:
        check_repository(cfg.push_to_hub)
    with Bars() as bars:
        bars(f"exporting {cfg.checkpoint}", 0)
        folder = export_checkpoint(
            cfg.checkpoint,
            cfg.output,
            file_format=cfg.format,
            quantization=cfg.quantize,
            scores_file=cfg.scores,
            license_id=cfg.license,
        )
    sys.stdout.write(f"{folder}\n")
    if cfg.push_to_hub is not None:
        address = push_to_hub(folder, cfg.push_to_hub, private=cfg.private)
        sys.stdout.write(f"{address}\n")
