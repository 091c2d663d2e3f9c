"""``qa-lightning app``: a page to ask documents, and to correct the answers."""

import ipaddress
import logging
import sys
from pathlib import Path

import jsonargparse

from qa_lightning.bars import Bars
from qa_lightning.errors import InputError
from qa_lightning.ranges import Rule, problems, text, whole

log = logging.getLogger(__name__)

RULES: dict[str, Rule] = {
    "port": whole(1, 65_535, optional=True),
    **dict.fromkeys(("checkpoint", "corrections", "host"), text(optional=False)),
}


def build_parser() -> jsonargparse.ArgumentParser:
    """Return the command's parser."""
    parser = jsonargparse.ArgumentParser(
        description="Serve a page that opens documents, answers questions with the answers marked"
        " in them, and keeps corrections that `lightning fit` trains on. In Portuguese and English."
    )
    parser.add_argument(
        "--checkpoint",
        required=True,
        help="a .ckpt file, a run's folder, an exported folder, or the Hub id of any"
        " question-answering model",
    )
    parser.add_argument(
        "--corrections",
        default="corrections.json",
        metavar="FILE",
        help="where corrected answers are kept: SQuAD JSON, or tasks for Label Studio where it ends"
        " in .label_studio.json; `lightning fit` takes both",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address to listen on; the default is this machine alone, 0.0.0.0 is all networks",
    )
    parser.add_argument(
        "--port", type=int | None, default=None, help="default: the first free one from 7860"
    )
    parser.add_argument("--device", type=str | None, default=None, help="cpu, cuda, mps")
    parser.add_argument("--revision", type=str | None, default=None, help="of a model on the Hub")
    return parser


def run(cfg: jsonargparse.Namespace) -> None:
    """Load the model, serve the page until Ctrl-C.

    Raises:
        InputError: the checkpoint, the file or the address cannot be used.
    """
    from transformers.utils import logging as transformers_logging

    from qa_lightning.answerer import QuestionAnswerer
    from qa_lightning.app import Corrections, build_page, serve, wait

    if told := list(problems(RULES, vars(cfg), prefix="--")):
        raise InputError("\n".join(told))
    corrections = Corrections(cfg.corrections)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    with Bars() as bars:
        bars(f"loading {cfg.checkpoint}", 0)
        answerer = QuestionAnswerer.from_checkpoint(
            cfg.checkpoint, revision=cfg.revision, device=cfg.device
        )
    page = build_page(answerer, corrections, name=_name(cfg.checkpoint))
    address = serve(page, host=cfg.host, port=cfg.port)
    if not _is_own(cfg.host):
        log.warning("everybody who reaches %s may ask, and write corrections", cfg.host)
    sys.stdout.write(f"The page is at {address} (Ctrl-C ends it).\n")
    sys.stdout.write(f"Corrections are kept in {corrections.path.absolute()}\n")
    sys.stdout.flush()
    wait(page)


def _name(checkpoint: str) -> str:
    """Return what a visitor may know of a checkpoint: its name, not its place."""
    path = Path(checkpoint)
    if not path.exists():
        return checkpoint
    return path.stem if path.is_file() else path.resolve().name


def _is_own(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
