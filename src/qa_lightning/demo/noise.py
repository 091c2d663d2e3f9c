"""Make a share of answers wrong as machine translation does: re-worded, and at no place.

In ``squad_v1_pt`` document and answer were translated apart: 35.8 % of the answers stand nowhere
in their document and have ``answer_start`` 0. Of these about a fifth differ in case, accents,
number form or article, half in some of their words, and a quarter have no word in common with the
document's.
"""

import random
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence

from qa_lightning.demo import words
from qa_lightning.demo.documents import Row

SHARE = 0.36  # the share of such answers in squad_v1_pt

Rewriter = Callable[[str, random.Random], str]

# What a translator makes of parts of names and of the words around numbers.
_RENAMED: Mapping[str, str] = dict(words.read_pairs("""
    São / Saint; Santa / Saint; Monte / Mount; Porto / Port; Vila / Village; Campo / Field;
    João / John; José / Joseph; Paulo / Paul; Pedro / Peter; Tiago / James; Miguel / Michael;
    Lucas / Luke; Marcos / Mark; Maria / Mary; Ana / Anne; Helena / Helen; Isabel / Elizabeth;
    Joana / Jane; Luísa / Louise; Teresa / Theresa; Lúcia / Lucy; Rosa / Rose; Branca / White;
    Cruz / Cross; Rocha / Rock; Estrela / Star; Horta / Orchard; Prado / Meadow; Jardim / Garden;
    serra / montanhas; chapada / mesa; planalto / platô; maciço / montes; baía / bacia;
    lagoa / lago; enseada / angra; golfo / estuário; canal / braço; Universidade / Faculdade;
    quilômetros / km; metros / m; milhões / mi
"""))  # fmt: skip
_FIRST_NAMES = frozenset(name for name, _ in words.FIRST_NAMES)
_ENGLISH: Mapping[str, str] = {
    word: entry[-1]
    for table in (words.PROFESSIONS, words.PRODUCTS)
    for entry in table
    for word in entry[:-1]
}
_BELOW_TWENTY = words.read_words("""
    zero um dois três quatro cinco seis sete oito nove dez onze doze treze catorze quinze dezesseis
    dezessete dezoito dezenove
""")
_TENS = words.read_words("vinte trinta quarenta cinquenta sessenta setenta oitenta noventa")
_HUNDREDS = words.read_words("""
    cento duzentos trezentos quatrocentos quinhentos seiscentos setecentos oitocentos novecentos
""")


def corrupt_answers(rows: Sequence[Row], *, share: float = SHARE, seed: int = 0) -> list[Row]:
    """Return the rows with a share of the answers wrong in the ways of ``squad_v1_pt``.

    A wrong answer is re-worded or translated anew, stands nowhere in its document, and its
    ``answer_start`` is 0. The given rows are left as they are.

    Args:
        rows: canonical rows with one answer each at its place.
        share: the share of rows that get a wrong answer, 0 to 1; met exactly but for rounding.
        seed: decides which, and how.
    """
    rng = random.Random(f"qa_lightning noise {seed}")
    chosen = set(rng.sample(range(len(rows)), round(share * len(rows))))
    return [_corrupt(row, rng) if place in chosen else row for place, row in enumerate(rows)]


def _corrupt(row: Row, rng: random.Random) -> Row:
    answer, context = row["answers"]["text"][0], row["context"]
    text = next(text for text in _rewordings(answer, rng) if text not in context)
    return {**row, "answers": {"text": [text], "answer_start": [0]}}


def _rewordings(answer: str, rng: random.Random) -> Iterator[str]:
    """Yield other wordings of an answer: of one likeness drawn by its weight, then of the rest."""
    first = rng.choices(_LIKENESSES, _WEIGHTS)[0]
    for likeness in (first, *(other for other in _LIKENESSES if other is not first)):
        for rewrite in rng.sample(likeness, len(likeness)):
            if (text := rewrite(answer, rng)) != answer:
                yield text
    yield f"“{answer}”"


def _other_case(answer: str, rng: random.Random) -> str:
    return answer[0].swapcase() + answer[1:]


def _without_accents(answer: str, rng: random.Random) -> str:
    letters = unicodedata.normalize("NFD", answer)
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _other_number(answer: str, rng: random.Random) -> str:
    """Write `34,7%` as `34,7 por cento`, and `1.247` as `1247` or `1,247`."""
    dotted = re.sub(r"(?<=\d)\.(?=\d{3})", rng.choice(("", ",", " ")), answer)
    return re.sub(r"%$", rng.choice((" por cento", " %")), dotted)


def _with_article(answer: str, rng: random.Random) -> str:
    return f"{rng.choice('oa')} {answer}" if answer[0].isalpha() else answer


def _full_stop(answer: str, rng: random.Random) -> str:
    return f"{answer}."


def _renamed(answer: str, rng: random.Random) -> str:
    return re.sub(r"\w+", lambda word: _RENAMED.get(word[0], word[0]), answer)


def _other_order(answer: str, rng: random.Random) -> str:
    """Write `7 de maio de 1840` as `maio 7, 1840`, and a name with its last part first."""
    if date := re.fullmatch(r"(\d+) de (\w+) de (\d+)", answer):
        return f"{date[2]} {date[1]}, {date[3]}"
    head, _, tail = answer.rpartition(" ")
    return f"{tail} {head.removesuffix(' de')}" if head and answer[0].isalpha() else answer


def _longer(answer: str, rng: random.Random) -> str:
    if answer[0].isdigit():
        return rng.choice(("cerca de {}", "mais ou menos {}", "aproximadamente {}")).format(answer)
    if answer.split(maxsplit=1)[0] in _FIRST_NAMES:
        return rng.choice(("Padre {}", "Sr. {}", "{} Filho", "o senhor {}")).format(answer)
    if answer[0].isupper():
        return rng.choice(("a chamada {}", "{}, no interior")).format(answer)
    return rng.choice(("sobretudo {}", "{} e outros")).format(answer)


def _misspelt(answer: str, rng: random.Random) -> str:
    """Change one inner letter of the longest name, as translated names come out."""
    word = max(re.findall(r"\b[A-ZÁÉÍÓÚ]\w{3,}", answer), key=len, default="")
    if not word:
        return answer
    place = rng.randrange(2, len(word))
    other = rng.choice("aeiou" if word[place] in "aeiouáéíóúãõâêô" else "lrnst")
    return answer.replace(word, word[:place] + other + word[place + 1 :])


def _english(answer: str, rng: random.Random) -> str:
    return _ENGLISH.get(answer, answer)


def _latin(answer: str, rng: random.Random) -> str:
    """Write `Lourenço Fialho` as `Lourencus Fialhus`: each name with another ending."""
    plain = _without_accents(answer, rng)
    return re.sub(
        r"\b([A-Z]\w{2,}?)[aeiou]?s?\b", rf"\1{rng.choice(('us', 'ius', 'ensis'))}", plain
    )


def _in_words(answer: str, rng: random.Random) -> str:
    """Write a number in words, `64` as `sessenta e quatro`; decimals stay as they are."""
    number = re.match(r"(\d{1,3}(?:\.\d{3})*|\d{4})(?![\d,])", answer)
    if number is None or " de " in answer.removesuffix(" de reais"):
        return answer
    return number_words(int(number[0].replace(".", ""))) + answer[number.end() :]


def number_words(number: int) -> str:
    """Write a number below 10,000 in Portuguese words.

    >>> number_words(1931)
    'mil novecentos e trinta e um'
    """
    if number >= 1000:
        thousands, rest = divmod(number, 1000)
        head = "mil" if thousands == 1 else f"{_BELOW_TWENTY[thousands]} mil"
        joint = " e " if rest < 100 or rest % 100 == 0 else " "
    elif number > 100:
        hundreds, rest = divmod(number, 100)
        head, joint = _HUNDREDS[hundreds - 1], " e "
    elif 20 <= number < 100:
        tens, rest = divmod(number, 10)
        head, joint = _TENS[tens - 2], " e "
    else:
        return "cem" if number == 100 else _BELOW_TWENTY[number]
    return f"{head}{joint}{number_words(rest)}" if rest else head


_SURFACE: tuple[Rewriter, ...] = (
    _other_case,
    _without_accents,
    _other_number,
    _with_article,
    _full_stop,
)
_FUZZY: tuple[Rewriter, ...] = (_renamed, _other_order, _longer, _misspelt)
_FOREIGN: tuple[Rewriter, ...] = (_english, _latin, _in_words)
_LIKENESSES = (_SURFACE, _FUZZY, _FOREIGN)
_WEIGHTS = (0.36, 0.34, 0.30)
