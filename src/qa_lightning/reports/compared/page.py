"""A comparison as a page."""

from collections.abc import Sequence
from typing import Final

from qa_lightning.comparison import Comparison
from qa_lightning.reports.compared import wording
from qa_lightning.reports.pages import render

_MOST_CHANGES: Final = 200


def comparison_page(comparisons: Sequence[Comparison]) -> str:
    """Return a page of one or more settings compared with the first.

    Nothing is loaded from elsewhere, and of many answers won or lost the first are shown.
    """
    return render(
        "comparison.html.jinja",
        title="Runs compared",
        comparisons=comparisons,
        most=_MOST_CHANGES,
        w=wording,
    )
