"""``audit``: check where the answers of a data set stand, and repair them."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import jsonargparse

from qa_lightning.bars import Bars, Progress
from qa_lightning.errors import InputError
from qa_lightning.languages import language_problems
from qa_lightning.ranges import SEEDS, Rule, number, problems, text, whole
from qa_lightning.reports.writing import JSON, PAGE, place_problems

if TYPE_CHECKING:
    from datasets import Dataset

    from qa_lightning.alignment import AlignmentAudit, TokenWindows
    from qa_lightning.reports.audit import DatasetFacts

_NAMED_IDS: Final = 5


RULES: dict[str, Rule] = {
    "show": whole(0),
    "threshold": number(0, 1, optional=True, remedy="It is a confidence."),
    **dict.fromkeys(("max_answer_length", "max_length", "max_question_length"), whole(1)),
    "doc_stride": whole(0),
    "num_proc": whole(1, 1_024, optional=True),
    "seed": whole(0, SEEDS),
    "source": text(optional=False),
    **dict.fromkeys(("split", "output", "repaired", "html", "tokenizer"), text()),
    **dict.fromkeys(("dataset_config", "revision"), text()),
}


def build_parser() -> jsonargparse.ArgumentParser:
    """Return the parser of the command; its caller names the program."""
    parser = jsonargparse.ArgumentParser(
        description="Check where the answers of a data set stand in their documents, and repair"
        " them."
    )
    parser.add_argument("source", help="a file (SQuAD JSON, JSONL, CSV, Parquet), Hub id or demo")
    parser.add_argument(
        "--split", type=str | None, help="split or slice; may be left out where there is one split"
    )
    parser.add_argument("--output", type=str | None, help="write a JSON line per answer here")
    parser.add_argument(
        "--repaired",
        type=str | None,
        help="write the repaired data set here: SQuAD's format (.json), tasks for Label Studio"
        " (.label_studio.json), or a row a question"
        " (.jsonl, .parquet) for load_dataset and for run_qa.py --dataset_name FOLDER",
    )
    parser.add_argument("--html", type=str | None, help="write a page to look through here")
    parser.add_argument("--show", type=int, default=0, help="print so many random examples")
    parser.add_argument(
        "--language", type=str | None, help="ISO 639-1 code (default: told from the texts)"
    )
    parser.add_argument(
        "--threshold", type=float | None, help="confidence from which spans are trusted"
    )
    parser.add_argument("--max_answer_length", type=int, default=30, help="of the evaluation")
    parser.add_argument(
        "--tokenizer",
        type=str | None,
        help="folder or Hub id: tell what its windows hold, and the ceiling in them",
    )
    parser.add_argument("--max_length", type=int, default=384, help="tokens of a window")
    parser.add_argument("--doc_stride", type=int, default=128, help="tokens windows share")
    parser.add_argument("--max_question_length", type=int, default=64, help="tokens of a question")
    parser.add_argument("--dataset_config", type=str | None, help="configuration of a Hub data set")
    parser.add_argument("--revision", type=str | None, help="revision of a Hub data set")
    parser.add_argument(
        "--columns", type=dict[str, str] | None, help="canonical column to the name in the data"
    )
    parser.add_argument("--num_proc", type=int | None, help="number of processes")
    parser.add_argument("--seed", type=int, default=0, help="of the examples shown")
    return parser


def run(cfg: jsonargparse.Namespace) -> None:
    """Audit one data set: a table to the terminal, and the files asked for.

    Raises:
        InputError: a source that cannot be read, a wrong value, a place that cannot be written.
    """
    from rich.console import Console

    from qa_lightning.alignment import with_ceilings
    from qa_lightning.reports.audit import audit_table, dataset_facts, example_panels

    _check(cfg)
    console = Console()
    with Bars() as bars:
        examples = _examples(cfg, bars)
        aligned, audit = _aligned(examples, cfg, bars)
        audit, windows = _held(aligned, audit, cfg, bars)
        bars("ceilings", 0, len(examples))
        audit = with_ceilings(
            audit,
            examples,
            language=cfg.language or audit.language,
            max_answer_length=cfg.max_answer_length,
            windows=windows,
            num_proc=cfg.num_proc,
            progress=partial(bars, "ceilings", total=len(examples)),
        )
        facts = dataset_facts(examples, max_answer_length=cfg.max_answer_length, progress=bars)
    for panel in example_panels(aligned, cfg.show, seed=cfg.seed):
        console.print(panel)
    console.print(audit_table(audit, facts))
    _write(aligned, audit, facts, cfg)
    for path in filter(None, (cfg.output, cfg.repaired, cfg.html)):
        console.print(f"written: {path}", markup=False, highlight=False)


def _check(cfg: jsonargparse.Namespace) -> None:
    """Check the numbers, and that no file is written over another or over the source."""
    from qa_lightning.reports.audit import REPAIRED_KINDS

    told = [
        *problems(RULES, vars(cfg), prefix="--"),
        *language_problems(cfg.language, "--language"),
    ]
    if told:
        raise InputError("\n".join(told))
    if cfg.repaired and Path(cfg.repaired).suffix.lower() not in REPAIRED_KINDS:
        raise InputError(
            "`--repaired` writes SQuAD JSON, or rows as JSON Lines or Parquet; its name ends in "
            f"{', '.join(REPAIRED_KINDS)}. Got {cfg.repaired!r}."
        )
    taken = {_resolved(cfg.source): "the source"}
    for name, kinds in (("output", JSON), ("repaired", REPAIRED_KINDS), ("html", PAGE)):
        place = _resolved(cfg[name]) if cfg[name] else None
        if place in taken:
            raise InputError(
                f"Expected a place of its own for `--{name}`; got {cfg[name]!r}, which is "
                f"{taken[place]}. Name another file."
            )
        if place is not None:
            for problem in place_problems(place, tuple(kinds)):
                raise InputError(f"`--{name}`: {problem}")
            taken[place] = f"that of `--{name}`"


def _resolved(name: str) -> Path:
    try:
        return Path(name).resolve()
    except RuntimeError as error:  # what pathlib says of links in a circle
        raise InputError(f"Expected a file; {name} leads to itself. Name another.") from error


def _examples(cfg: jsonargparse.Namespace, progress: Progress) -> "Dataset":
    from qa_lightning.examples import load_examples

    return load_examples(
        cfg.source,
        split=cfg.split,
        dataset_config=cfg.dataset_config,
        revision=cfg.revision,
        columns=cfg.columns,
        unique_ids=False,  # they are counted, not refused
        progress=progress,
    )


def _held(
    aligned: "Dataset", audit: "AlignmentAudit", cfg: jsonargparse.Namespace, progress: Progress
) -> "tuple[AlignmentAudit, list[TokenWindows] | None]":
    """Count the answers that no window holds, as `fit` does; return each example's windows too."""
    if cfg.tokenizer is None:
        return audit, None
    from qa_lightning.alignment import TokenWindows
    from qa_lightning.datamodule import load_tokenizer
    from qa_lightning.features import WindowSettings, context_windows

    settings = WindowSettings(
        max_length=cfg.max_length,
        doc_stride=cfg.doc_stride,
        max_question_length=cfg.max_question_length,
    )
    windows, unheld = [], []
    progress("windows", 0, len(aligned))
    laid = context_windows(aligned, load_tokenizer(cfg.tokenizer), settings)
    for row, (offsets_n2, windows_w2, is_unheld) in enumerate(laid):
        windows.append(TokenWindows(offsets_n2, windows_w2))
        unheld += [row] if is_unheld else []
        progress("windows", 1, len(aligned))
    ids = [aligned[row]["id"] for row in unheld[:_NAMED_IDS]]
    return replace(audit, unheld=len(unheld), unheld_ids=ids), windows


def _aligned(
    examples: "Dataset", cfg: jsonargparse.Namespace, progress: Progress
) -> "tuple[Dataset, AlignmentAudit]":
    from qa_lightning.alignment import DEFAULT_THRESHOLD, align_examples

    return align_examples(
        examples,
        policy="repair",
        threshold=DEFAULT_THRESHOLD if cfg.threshold is None else cfg.threshold,
        drop=False,
        language=cfg.language,
        num_proc=cfg.num_proc,
        progress=partial(progress, total=len(examples)),
    )


def _write(
    aligned: "Dataset", audit: "AlignmentAudit", facts: "DatasetFacts", cfg: jsonargparse.Namespace
) -> None:
    from qa_lightning.reports.audit import (
        audit_lines,
        audit_page,
        write_lines,
        write_repaired,
        write_whole,
    )

    with Bars() as bars:
        if cfg.output:
            bars("lines", 0)
            write_lines(cfg.output, audit_lines(aligned))
        if cfg.repaired:
            bars("repaired data", 0)
            write_repaired(cfg.repaired, aligned)
        if cfg.html:
            bars("page", 0)
            page = audit_page(aligned, audit, facts, title=cfg.source, seed=cfg.seed)
            write_whole(cfg.html, (page,))
