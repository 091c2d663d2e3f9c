"""README is a screen and a half; what it shows is run by `tests/test_docs.py`."""

import re

from conftest import ROOT

README = (ROOT / "README.md").read_text("utf-8")


def test_it_is_a_screen_and_a_half() -> None:
    assert len(README.splitlines()) <= 120


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", README):
        assert (ROOT / target).exists(), target
