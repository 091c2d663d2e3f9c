"""Bars in notebooks that have no ipywidgets."""

import io
import sys
import time
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_SECONDS: Final = 0.1  # between two pictures of a bar that a notebook is sent


@cache
def show_in_notebooks() -> None:
    """Let rich draw its bars, Lightning's too, in notebooks that have no ipywidgets.

    It asks for that package at every refresh, and without it warns and draws nothing. An output
    of IPython's that is replaced in its place serves as well.
    """
    from rich.console import Console
    from rich.live import Live

    if not Console(file=sys.stdout).is_jupyter or find_spec("ipywidgets") is not None:
        return
    # Both are taken the place of, since there is no other way in.
    plain, plain_stop = Live.refresh, Live.stop

    def refresh(live: Live) -> None:
        if not live.console.is_jupyter or live._nested:
            plain(live)
            return
        if live.ipy_widget is None:
            live.ipy_widget = _Output(live)
        live.ipy_widget.draw()

    def stop(live: Live) -> None:
        if isinstance(live.ipy_widget, _Output):
            live.ipy_widget.draw(at_once=True)  # as it ended
        plain_stop(live)

    Live.refresh = refresh  # type: ignore[assignment, method-assign]
    Live.stop = stop  # type: ignore[assignment, method-assign]


class _Output:
    """Hold what stands in a notebook where rich would have a widget."""

    def __init__(self, live: "Live") -> None:
        self._live = live
        self._last = time.monotonic()
        # A notebook has IPython; nobody else needs it.
        display = import_module("IPython.display").display
        self._handle = display(self._picture(), display_id=True)

    def draw(self, *, at_once: bool = False) -> None:
        """Draw the bars as they are now, unless they were just drawn."""
        now = time.monotonic()
        is_due = at_once or now - self._last >= _SECONDS
        if self._handle is not None and is_due:
            self._last = now
            self._handle.update(self._picture())

    def close(self) -> None:
        """Take the bars away."""
        if self._handle is not None:
            self._handle.update(_drawn(""))

    def _picture(self) -> object:
        return _drawn(self._live.get_renderable(), width=self._live.console.width)


def _drawn(shown: "RenderableType", *, width: int | None = None) -> object:
    from rich.console import Console
    from rich.jupyter import JUPYTER_HTML_FORMAT, JupyterRenderable

    page = Console(file=io.StringIO(), record=True, width=width, force_jupyter=False)
    page.print(shown, end="")
    html = page.export_html(clear=False, inline_styles=True, code_format=JUPYTER_HTML_FORMAT)
    return JupyterRenderable(html if shown else "", page.export_text())
