"""Draw the names and answers of one document, each at most once and only from its split's words."""

import random
from collections.abc import Callable, Sequence
from functools import cache
from itertools import product

from qa_lightning.demo import words
from qa_lightning.demo.grammar import Noun, may_use

_GENDERS = dict(words.FIRST_NAMES)


@cache
def _pool(name: str, split: str) -> tuple[tuple[str, ...], ...]:
    """Return the entries of a list of `words` that the split may use; the first word decides."""
    full: Sequence[str | tuple[str, ...]]
    if hasattr(words, name):
        full = getattr(words, name)
    else:
        parts = (getattr(words, f"{name}_HEADS"), getattr(words, f"{name}_TAILS"))
        full = ["".join(pair) for pair in product(*parts)]
    entries = ((entry,) if isinstance(entry, str) else entry for entry in full)
    return tuple(entry for entry in entries if may_use(entry[0], split))


class Draw:
    """Draw words for one document from a seeded generator.

    No two names of a document share their first four letters, and no value comes twice: which
    entity a question is about is told by its name, and an answer's text stands in one place.
    """

    def __init__(self, rng: random.Random, split: str) -> None:
        self.rng = rng
        self.split = split
        self._taken: set[str] = set()

    def fresh(self, draw: Callable[[], str], *, letters: int | None = None) -> str:
        """Return the first drawn word that this document has not used, and mark it as used.

        Args:
            draw: makes a word.
            letters: the number of first letters that must be new; None for all.
        """
        while (word := draw())[:letters] in self._taken:
            pass
        self._taken.add(word[:letters])
        return word

    def name(self, pool: str) -> str:
        """Return a new name of the split whose first four letters are new."""
        return self.fresh(lambda: self.rng.choice(_pool(pool, self.split))[0], letters=4)

    def shared(self, entries: Sequence[tuple[str, ...]], column: int = 0) -> str:
        """Return a new word from a column of a list that all splits share."""
        return self.fresh(lambda: self.rng.choice(entries)[column])

    def number(self, low: int, high: int) -> int:
        """Return a new number, not in another split, spread evenly over its orders of size."""

        def draw() -> str:
            while True:
                number = round(low * (high / low) ** self.rng.random())
                if may_use(str(number), self.split):
                    return str(number)

        return int(self.fresh(draw))


def person(draw: Draw) -> Noun:
    """Draw a first name, new in the document, and a surname, new in the split."""
    first = draw.fresh(lambda: draw.rng.choice(words.FIRST_NAMES)[0], letters=4)
    return Noun(f"{first} {draw.name('SURNAME')}", _GENDERS[first], article=False)


def _saint(name: str, gender: str) -> str:
    return f"São {name}" if gender == "m" else f"Santa {name}"


def place(draw: Draw) -> Noun:
    """Draw a town: a coined name, alone or after Vila, Porto, …, or a saint's."""
    if draw.rng.random() < 0.1:
        return Noun(draw.fresh(lambda: _saint(*draw.rng.choice(_pool("SAINTS", draw.split)))))
    coined = draw.name("PLACE")
    if draw.rng.random() < 0.3:
        coined = f"{draw.rng.choice(words.PLACE_PREFIXES)} {coined}"
    return Noun(coined)


def company(draw: Draw) -> Noun:
    """Draw a kind of company and a coined brand."""
    word, gender = draw.rng.choice(words.COMPANY_TYPES)
    return Noun(f"{word} {draw.name('BRAND')}", gender)


def river(draw: Draw) -> Noun:
    """Draw a river with a coined name."""
    return Noun(f"rio {draw.name('RIVER')}", "m")


def work(draw: Draw) -> Noun:
    """Draw a building called after a person or a place."""
    word, gender = draw.rng.choice(words.WORK_TYPES)
    pool = draw.rng.choice(("SURNAME", "PLACE"))
    return Noun(f"{word} {draw.name(pool)}", gender)


def _landscape(types: Sequence[tuple[str, str]]) -> Callable[[Draw], Noun]:
    def draw_one(draw: Draw) -> Noun:
        word, gender = draw.rng.choice(types)
        return Noun(f"{word} de {place(draw).text}", gender)

    return draw_one


def _dotted(number: int) -> str:
    return f"{number:,}".replace(",", ".")


def _date(draw: Draw) -> Noun:
    day = draw.fresh(lambda: str(draw.rng.randint(2, 28)))
    month = draw.rng.choice(words.MONTHS)
    return Noun(f"{day} de {month} de {_year(draw).text}")


def _year(draw: Draw) -> Noun:
    return Noun(draw.fresh(lambda: str(draw.rng.randint(1820, 1990))))


def value_of(kind: str, draw: Draw, gender: str) -> Noun:
    """Draw an answer of a kind for an entity of a gender (professions agree with it)."""
    if kind == "profession":
        return Noun(draw.shared(words.PROFESSIONS, 0 if gender == "m" else 1))
    return VALUES[kind](draw)


VALUES: dict[str, Callable[[Draw], Noun]] = {
    "person": person,
    "place": place,
    "date": _date,
    "year": _year,
    "university": lambda draw: Noun(f"Universidade de {place(draw).text}", "f"),
    "height": _landscape(words.HEIGHTS),
    "mouth": _landscape(words.MOUTHS),
    "count": lambda draw: Noun(str(draw.number(20, 999))),
    "staff": lambda draw: Noun(_dotted(draw.number(150, 9_900))),
    "percent": lambda draw: Noun(f"{draw.number(11, 94)},{draw.rng.randint(1, 9)}%"),
    "kilometres": lambda draw: Noun(f"{_dotted(draw.number(60, 3_000))} quilômetros"),
    "metres": lambda draw: Noun(f"{draw.number(12, 280)} metros"),
    "money": lambda draw: Noun(f"{draw.number(11, 990)} milhões de reais"),
    "product": lambda draw: Noun(draw.shared(words.PRODUCTS)),
}
