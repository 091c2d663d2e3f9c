"""A passage with one place marked, as a notebook shows it."""

from html import escape
from typing import Final

# Colours that keep their contrast on a notebook's light and dark pages.
_MARK: Final = "background:#ffd54f;color:#1a1a1a;padding:0 .15em;border-radius:.2em"


def marked_html(before: str, found: str, after: str) -> str:
    """Return what stands before, at and after a place, everything escaped.

    >>> marked_html("<Ana> ", "", "fundou")
    '<div style="white-space:pre-wrap;text-align:left">&lt;Ana&gt; fundou</div>'
    """
    mark = f'<mark style="{_MARK}">{escape(found)}</mark>' if found else ""
    return (
        f'<div style="white-space:pre-wrap;text-align:left">{escape(before)}{mark}'
        f"{escape(after)}</div>"
    )
