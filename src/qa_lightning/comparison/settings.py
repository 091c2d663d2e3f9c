"""Runs as settings: which are seeds of one, and what differs between two."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from qa_lightning.comparison.runs import EvaluatedRun

_SEEDS: Final = ("seed_everything", "data.seed", "tracking.seed")
_PLACES: Final = (
    *("trainer.default_root_dir", "trainer.logger", "trainer.callbacks", "ckpt_path"),
    *("checkpoint.dirpath", "evaluation.output_dir", "prediction.output_dir", "data.cache_dir"),
)
"""What says where a run lies or how it is shown, not what it is."""

Pair = tuple[str, str, str]


@dataclass(frozen=True)
class Setting:
    """Hold the runs that differ by their seed alone.

    Attributes:
        name: folders of its runs.
        runs: one a seed, by rising seed.
        seeds: ``seed_everything`` of each; None where it is not known.
    """

    name: str
    runs: tuple[EvaluatedRun, ...]
    seeds: tuple[int | None, ...]


def settings_of(runs: Sequence[EvaluatedRun], *, by_run: bool = False) -> list[Setting]:
    """Group runs by what they were made with, in the order in which they are given.

    Args:
        runs: with their configurations; one without is a setting of its own.
        by_run: each run is a setting of its own. So it is where all runs are of one setting.
    """
    groups: dict[object, list[EvaluatedRun]] = {}
    for place, run in enumerate(runs):
        known = run.config and not by_run
        key: object = tuple(sorted(_identity(run).items())) if known else place
        groups.setdefault(key, []).append(run)
    if len(groups) == 1 and len(runs) > 1:
        return settings_of(runs, by_run=True)
    return [_setting(group) for group in groups.values()]


def _setting(runs: Sequence[EvaluatedRun]) -> Setting:
    ordered = sorted(runs, key=lambda run: _seed(run) or 0)
    name = ", ".join(str(run.folder) for run in ordered)
    return Setting(name, tuple(ordered), tuple(map(_seed, ordered)))


def _seed(run: EvaluatedRun) -> int | None:
    seed = run.config.get("seed_everything")
    return seed if isinstance(seed, int) else None


def _identity(run: EvaluatedRun) -> dict[str, str]:
    """Return all that makes a run what it is but for its seed, and the windows that it draws."""
    known = flat(run.config)
    kept = {key: value for key, value in known.items() if not key.startswith((*_SEEDS, *_PLACES))}
    made = _provenance(run)
    prints = made.get("data_content") or made.get("data_fingerprint")
    return kept | {"data fingerprint": str(prints)}


def differences_made(first: Setting, second: Setting) -> list[Pair]:
    """Return what differs in configuration, data and versions: what, of the first, of the second.

    Of several seeds the first run of each is looked at.
    """
    one, other = first.runs[0], second.runs[0]
    found = list(_differing("", flat(one.config), flat(other.config), ignored=_PLACES))
    made = [_provenance(run) for run in (one, other)]
    data = "data_content" if all("data_content" in each for each in made) else "data_fingerprint"
    for name in (data, "versions", "git_commit", "machine"):
        found += _differing("", *(flat({name: each.get(name)}) for each in made))
    return found


def _provenance(run: EvaluatedRun) -> dict[str, Any]:
    found = run.made.get("provenance")
    return found if isinstance(found, dict) else {}


def _differing(
    prefix: str, one: Mapping[str, str], other: Mapping[str, str], *, ignored: Sequence[str] = ()
) -> Iterator[Pair]:
    for key in dict.fromkeys([*one, *other]):
        pair = one.get(key, "–"), other.get(key, "–")
        if pair[0] != pair[1] and not key.startswith(tuple(ignored)):
            yield (prefix + key, *pair)


def flat(value: Any, prefix: str = "") -> dict[str, str]:
    """Return nested values by dotted key, as texts; what is null is left out.

    >>> flat({"data": {"language": "pt", "columns": None}, "seeds": [1, 2]})
    {'data.language': 'pt', 'seeds': '[1, 2]'}
    """
    if not isinstance(value, Mapping):
        return {} if value is None else {prefix: str(value)}
    texts: dict[str, str] = {}
    for key, entry in value.items():
        texts |= flat(entry, f"{prefix}.{key}" if prefix else str(key))
    return texts
