"""A page that asks documents questions, shows where the answers stand, and keeps corrections.

``words`` and ``samples`` are what it says; ``session`` is what one visitor has opened and asked;
``corrections`` is the file that ``lightning fit`` learns from; ``layout``, ``events`` and ``page``
put them into Gradio, with ``reader.html``, ``.js`` and ``.css`` for what it has no part for: the
documents and the marks in them. Nothing is asked of another machine, and nothing is kept but the
corrections.
"""

from qa_lightning.app.corrections import Corrections
from qa_lightning.app.page import build_page, serve, wait
from qa_lightning.app.session import Session

__all__ = ["Corrections", "Session", "build_page", "serve", "wait"]
