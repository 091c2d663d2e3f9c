"""``qa-lightning app``: a page to ask documents, and to correct the answers."""

import ipaddress
import logging
import sys
from pathlib import Path

import jsonargparse

from qa_lightning.cli.reader import add_reader, load_reader
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
    add_reader(parser)
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
    return parser


def run(cfg: jsonargparse.Namespace) -> None:
    """Load the model, serve the page until Ctrl-C.

    Raises:
        InputError: the checkpoint, the file or the address cannot be used.
    """
    from qa_lightning.app import Corrections, build_page, serve, wait

    if told := list(problems(RULES, vars(cfg), prefix="--")):
        raise InputError("\n".join(told))
    corrections = Corrections(cfg.corrections)
    page = build_page(load_reader(cfg), corrections, name=_name(cfg.checkpoint))
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
