"""Which windows of a long document are worth reading for a question.

A network reads a window in some 50 ms; what words stand where is known in a ten-thousandth of
that. ``words`` (a text's words, as they are compared), ``places`` (at which tokens they stand, and
so how often in windows of any length), ``ranking`` (BM25 over these counts), ``choosing`` (which
windows are read), ``examples`` (of a data set's questions, read with
what cuts them), ``index`` (an index on disk of the ``passages`` of many documents).
"""

from qa_lightning.screening.choosing import (
    AUTO_FROM,
    AUTO_READ,
    DEFAULT_SCREEN,
    SCREEN_RULE,
    Screen,
    Stretch,
    worth_reading,
)
from qa_lightning.screening.places import WordPlaces

__all__ = [
    "AUTO_FROM",
    "AUTO_READ",
    "DEFAULT_SCREEN",
    "SCREEN_RULE",
    "Screen",
    "Stretch",
    "WordPlaces",
    "worth_reading",
]
