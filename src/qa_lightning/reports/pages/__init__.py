"""Pages that stand alone: one style, everything escaped, nothing loaded from elsewhere."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape


def render(template: str, **values: Any) -> str:
    """Return a page.

    Args:
        template: name of a file beside this one.
        values: that it names; all texts are escaped.
    """
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("qa_lightning", "reports/pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = _with_code
    return environment


def _with_code(text: str) -> Markup:
    """Return a text whose `words` in backticks are code.

    >>> str(_with_code("a < `b`"))
    'a &lt; <code>b</code>'
    """
    parts = (escape(part) for part in text.split("`"))
    return Markup("").join(
        Markup("<code>%s</code>") % part if place % 2 else part for place, part in enumerate(parts)
    )
