"""``qa-lightning index``: thousands of documents, read once, to be asked often."""

import logging
from pathlib import Path

import jsonargparse

log = logging.getLogger(__name__)


def build_parser() -> jsonargparse.ArgumentParser:
    """Return the command's parser."""
    parser = jsonargparse.ArgumentParser(
        description="Index a folder of documents (text, Markdown, HTML, DOCX, PDF, JSON Lines with"
        " `text`), for `qa-lightning answer --index`. Called again it brings the index up to date:"
        " new, changed and deleted files. Others may read it meanwhile."
    )
    parser.add_argument("folder", help="of the documents; folders in it count too")
    parser.add_argument("--output", required=True, help="the index: a new folder, or an index")
    return parser


def run(cfg: jsonargparse.Namespace) -> None:
    """Index the folder, and say what was done.

    Raises:
        InputError: there is no such folder, or the index cannot be written.
    """
    from rich.console import Console

    from qa_lightning.screening.index import update_index

    changes = update_index(Path(cfg.folder).expanduser(), Path(cfg.output).expanduser())
    named = changes._asdict()
    passages = named.pop("passages")
    told = ", ".join(f"{count:,} {what}" for what, count in named.items() if count)
    Console(soft_wrap=True, highlight=False).print(
        f"{cfg.output}: {told or 'no'} files; {passages:,} passages", markup=False
    )
