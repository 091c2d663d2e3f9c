"""``report``: a run on one page, from its files alone."""

from pathlib import Path
from typing import Final

import jsonargparse

from qa_lightning.bars import Bars
from qa_lightning.errors import InputError
from qa_lightning.ranges import Rule, check, one_of, text
from qa_lightning.reports.writing import PAGE, place_problems

RULES: Final[dict[str, Rule]] = {
    "stage": one_of(("val", "test"), optional=True),
    "output": text(),
}


def build_parser() -> jsonargparse.ArgumentParser:
    """Return the command's parser."""
    parser = jsonargparse.ArgumentParser(
        description="Write a page about a run: what was trained on what, curves, scores beside the"
        " best in reach, parts of the data, confidences, the answers to look through, and what to"
        " try next. It is made of the run's files alone, and loads nothing."
    )
    parser.add_argument("run", metavar="RUN", help="a run's folder")
    parser.add_argument(
        "--output", type=str | None, help="the file (default: RUN/reports/report.html)"
    )
    parser.add_argument(
        "--stage", type=str | None, help="val or test (default: test where there is one)"
    )
    return parser


def run(cfg: jsonargparse.Namespace) -> None:
    """Write the page.

    Raises:
        InputError: the folder is no run's, or the file cannot be written.
    """
    from rich.console import Console

    from qa_lightning.reports.run import REPORT, run_page
    from qa_lightning.reports.writing import write_whole

    check(RULES, vars(cfg), prefix="--")
    folder = Path(cfg.run)
    output = folder / REPORT if cfg.output is None else Path(cfg.output)
    for problem in place_problems(output, PAGE):
        raise InputError(f"`--output`: {problem}")
    with Bars() as bars:
        bars(f"the page of {folder}", 0)
        write_whole(output, (run_page(folder, stage=cfg.stage),))
    Console(soft_wrap=True, highlight=False).print(str(output), markup=False)
