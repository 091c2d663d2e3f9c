"""``compare``: what one run has more than another, and whether that is more than chance."""

from dataclasses import asdict
from pathlib import Path
from typing import Final

import jsonargparse

from qa_lightning.bars import Bars
from qa_lightning.errors import InputError
from qa_lightning.ranges import Rule, check, one_of, text, whole
from qa_lightning.reports.writing import JSON, PAGE, place_problems

RULES: Final[dict[str, Rule]] = {
    "stage": one_of(("val", "test"), optional=True),
    "show": whole(0),
    **dict.fromkeys(("json", "html"), text()),
}
_WIDTH: Final = 120


def build_parser() -> jsonargparse.ArgumentParser:
    """Return the command's parser."""
    parser = jsonargparse.ArgumentParser(
        description="Compare runs with the first one, on the same questions: paired differences of"
        " exact match, F1 and calibration with bootstrap intervals and a randomisation test, by"
        " parts of the data, and the answers that were won and lost. Runs that differ by their seed"
        " alone are one setting with a spread."
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="two or more runs' folders")
    parser.add_argument(
        "--stage", type=str | None, help="val or test (default: test where all runs have it)"
    )
    parser.add_argument(
        "--common",
        action="store_true",
        help="score the questions that all runs have, where some have others",
    )
    parser.add_argument(
        "--by_run", action="store_true", help="do not put the seeds of one setting together"
    )
    parser.add_argument(
        "--show", type=int, default=3, help="print so many answers won, and so many lost"
    )
    parser.add_argument("--json", type=str | None, help="write all of it here")
    parser.add_argument("--html", type=str | None, help="write a page to read here")
    return parser


def run(cfg: jsonargparse.Namespace) -> None:
    """Compare the runs: a table to the terminal, and the files asked for.

    Raises:
        InputError: a folder is no run's, the runs answered different questions, or a file cannot
            be written.
    """
    from rich.console import Console
    from rich.text import Text

    from qa_lightning.comparison import compare_runs, read_runs
    from qa_lightning.reports.audit.files import write_json
    from qa_lightning.reports.compared import comparison_page, comparison_parts
    from qa_lightning.reports.writing import write_whole

    check(RULES, vars(cfg), prefix="--")
    for name, kinds in (("json", JSON), ("html", PAGE)):
        if cfg[name] is not None:
            for problem in place_problems(Path(cfg[name]), kinds):
                raise InputError(f"`--{name}`: {problem}")
    with Bars() as bars:
        bars(f"comparing {len(cfg.runs)} runs", 0)
        runs = read_runs([Path(folder) for folder in cfg.runs], stage=cfg.stage)
        comparisons = compare_runs(runs, common=cfg.common, by_run=cfg.by_run)
    # A file has no width: what is read there is not folded at 80 columns.
    console = Console() if Console().is_terminal else Console(width=_WIDTH)
    for comparison in comparisons:
        for part in comparison_parts(comparison, show=cfg.show):
            console.print(part, soft_wrap=isinstance(part, Text))
    if cfg.json is not None:
        write_json(cfg.json, {"comparisons": [asdict(each) for each in comparisons]})
        console.print(
            Text(f"{cfg.json}: all figures, and all answers that changed"), soft_wrap=True
        )
    if cfg.html is not None:
        write_whole(cfg.html, (comparison_page(comparisons),))
        console.print(Text(f"{cfg.html}: a page to read"), soft_wrap=True)
