"""``qa-lightning cache``: what prepared data is kept, and what of it may go."""

import gc
import time
from typing import TYPE_CHECKING

import jsonargparse

from qa_lightning.errors import InputError
from qa_lightning.ranges import Rule, check, number, text

if TYPE_CHECKING:
    from rich.console import Console

    from qa_lightning.cache import Cache, Entry

RULES: dict[str, Rule] = {"cache_dir": text(), "unused_days": number(0, optional=True)}
_DAY = 24 * 60 * 60
_SHOWN = 8


def build_parser() -> jsonargparse.ArgumentParser:
    """Return the command's parser."""
    parser = jsonargparse.ArgumentParser(
        description="List the prepared data that runs share, the last used first, and remove what"
        " is wanted no more. What a running process reads or makes is never removed. Bounds:"
        " `data.cache_entries` and `data.cache_gib` of the runs."
    )
    parser.add_argument("--cache_dir", type=str | None, default=None, help="as `data.cache_dir`")
    parser.add_argument(
        "--remove",
        nargs="+",
        default=[],
        metavar="KEY",
        help="keys of entries, or how they begin; `all`; `unfinished`, what killed runs left",
    )
    parser.add_argument(
        "--unused_days",
        type=float | None,
        default=None,
        help="remove what was not used for so many",
    )
    return parser


def run(cfg: jsonargparse.Namespace) -> None:
    """Remove what is asked for, and show what is left.

    Raises:
        InputError: a key is of no entry, or of several.
    """
    from rich.console import Console

    from qa_lightning.cache import Cache, cache_folder

    check(RULES, vars(cfg), prefix="--")
    cache = Cache(cache_folder(cfg.cache_dir))
    gc.collect()  # what a `fit` of this very process held, and nobody reads any more
    console = Console(soft_wrap=True, highlight=False)
    for entry in _wanted(cache.entries(), cfg):
        state = "removed" if cache.remove(entry.key) else "in use by a process: stays"
        console.print(f"{entry.key}: {state}", markup=False)
    _show(cache, console)


def _wanted(entries: "list[Entry]", cfg: jsonargparse.Namespace) -> "list[Entry]":
    """Return what is to be removed."""
    found: dict[str, Entry] = {}
    for asked in cfg.remove:
        if asked == "all":
            matching = entries
        elif asked == "unfinished":
            matching = [entry for entry in entries if not entry.finished]
        else:
            matching = [entry for entry in entries if entry.key.startswith(asked)]
            if len(matching) != 1:
                raise InputError(
                    f"Expected `--remove` to name one entry by its key or how that begins; "
                    f"{len(matching)} begin with {asked!r}. `qa-lightning cache` lists them."
                )
        found |= {entry.key: entry for entry in matching}
    if cfg.unused_days is not None:
        since = time.time() - cfg.unused_days * _DAY
        found |= {entry.key: entry for entry in entries if entry.last_used < since}
    return list(found.values())


def _show(cache: "Cache", console: "Console") -> None:
    entries = cache.entries()
    size = sum(entry.size for entry in entries)
    console.print(f"{cache.folder}: {len(entries)} entries, {_size(size)}", markup=False)
    for entry in entries:
        age = _age(max(0.0, time.time() - entry.last_used))
        key = entry.key[:_SHOWN] if entry.finished else entry.key
        state = "in use" if entry.in_use else ""
        line = f"  {key}  {_size(entry.size):>10}  {age:>14}  {state:<6}  {_what(entry)}"
        console.print(line, markup=False)


def _what(entry: "Entry") -> str:
    about = dict(entry.about)
    if not about:
        return "of an earlier version" if entry.finished else "unfinished"
    named = f"{about.pop('source', '?')} {about.pop('split', '')}"
    return ", ".join([named, *(f"{key} {value}" for key, value in about.items())])


def _size(count: float) -> str:
    """Return bytes in the unit that suits them.

    >>> _size(3_500_000)
    '3.3 MiB'
    """
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def _age(seconds: float) -> str:
    """Return a time in the unit that suits it.

    >>> _age(7200)
    '2 hours ago'
    """
    for unit, length in (("days", _DAY), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return "just now"
