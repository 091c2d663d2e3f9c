"""The pinned versions belong together: one environment holds every extra."""

import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from conftest import ROOT


def pins() -> dict[str, str]:
    """Return the versions of constraints.txt by name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def asked(requirement: Requirement) -> Iterator[tuple[str, Requirement]]:
    """Yield what one requirement asks for in turn, with who asks; an absent package nothing."""
    try:
        lines = requires(requirement.name) or []
    except PackageNotFoundError:
        return
    for line in lines:
        inner = Requirement(line)
        extras = requirement.extras or {""}
        if inner.marker is None or any(inner.marker.evaluate({"extra": name}) for name in extras):
            yield requirement.name, inner


def test_every_extra_resolves_to_the_pinned_versions() -> None:
    """A pin that some package refuses lets pip go back years, without a word."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    left = [("qa-lightning", Requirement(line)) for line in [*project["dependencies"], *extras]]
    pinned, seen = pins(), set[str]()
    while left:
        who, requirement = left.pop()
        name = canonicalize_name(requirement.name)
        if name in ("torch", "setuptools", "pip"):  # torch's wheels differ by machine
            continue
        assert name in pinned, f"{who} needs {requirement}, which constraints.txt does not pin"
        assert pinned[name] in requirement.specifier, f"{who} needs {requirement}; {pinned[name]}"
        if str(requirement) not in seen:
            seen.add(str(requirement))
            left += asked(requirement)
    assert len(seen) > len(extras)


def test_every_pin_is_for_the_oldest_python_that_is_promised() -> None:
    """Debian 12 has 3.11.2: a release that wants 3.11.5 leaves pip without a way."""
    refusing = {}
    for name, version in pins().items():
        try:
            wanted = metadata(name).get("Requires-Python")
        except PackageNotFoundError:
            continue
        if wanted and "3.11.2" not in SpecifierSet(wanted):
            refusing[name] = (version, wanted)
    assert not refusing
