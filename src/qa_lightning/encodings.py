"""Bytes → text in whatever encoding they are: told by the file itself, else guessed, and told.

A file of bytes does not say what it is; a wrong guess trains on garbage. So every guess is a
warning that shows what it makes of a line, and what is UTF-8 but for a few bytes is damaged: no
guess would read it better.
"""

import codecs
import io
import logging
import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple, TextIO

from charset_normalizer import from_bytes

from qa_lightning.errors import InputError

_logger = logging.getLogger(__name__)

_CHUNK = 1 << 20
_SAMPLE = 1 << 16  # bytes of words that are looked at
_SHOWN = 80  # characters of a line in a warning
_DAMAGED = 4  # so many sound characters beside each broken one: UTF-8, but damaged
_CONFUSED = 0.3  # the share of unlikely characters up to which the detector keeps a guess
_FOREIGN = re.compile(rb"[\x80-\xff]+")
_ALONE = 1.34  # the length of such runs: "ção" and "ões" have two
_LATIN_LETTERS = 0.9  # so many of them are letters of one language
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16's, with which it begins
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LATIN = ("cp1252", "cp1254", "cp1250", "iso8859_2")  # cp1254 is ISO 8859-9 and more
# What is met in files of today, likelier ones first: among all that exist the detector errs more.
_KNOWN = (
    *("gb18030", "big5", "cp932", "euc_jp", "cp949", *_LATIN),
    *("cp1251", "cp1253", "cp1255", "cp1256", "koi8_r", "cp874"),
)
# The Latin ones agree on most bytes; the letters of one language tell them apart.
_ALPHABETS = tuple(
    map(
        frozenset,
        (
            *("áâãàçéêíóôõúü", "áéíñóúü¿¡ªº", "àâæçéèêëîïôœùûüÿ", "äöüß", "àèéìòù", "åäöæøé"),
            *(
                "çğıöşüâîû",
                "ąćęłńóśźż",
                "áčďéěíňóřšťúůýž",
                "áäčďéíĺľňóôŕšťúýž",
                "áéíóöőúüű",
                "ăâîşţșț",
            ),
            *("áðéíóúýþæö", "čćđšž"),
        ),
    )
)
_NEUTRAL = frozenset("“”„‘’‚–—…«»°€§´·•\u00a0")

Open = Callable[[], BinaryIO]


class _Break(NamedTuple):
    """Hold where bytes stop being UTF-8: line and byte from 1, and the line itself."""

    line: int
    byte: int
    content: bytes

    def __str__(self) -> str:
        return f"line {self.line}, byte {self.byte} ({self.content[self.byte - 1]:#04x})"


def open_text(open_bytes: Open, path: Path, *, newline: str = "\n") -> TextIO:
    """Open a file as text, in the encoding that it is found to be in.

    Args:
        open_bytes: opens its bytes, unpacked; called several times.
        path: the file, for messages.
        newline: as in ``open``.

    Raises:
        InputError: it is damaged, or in no encoding that is known.
    """
    encoding = _encoding_of(open_bytes, path)
    return io.TextIOWrapper(open_bytes(), encoding, newline=newline)


def _encoding_of(open_bytes: Open, path: Path) -> str:
    with open_bytes() as stream:
        start = stream.read(_CHUNK)
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding if _reads(open_bytes, encoding) else _refuse(open_bytes, path)
    if b"\0" in start:
        return _wide_encoding(open_bytes, path, start)
    if _reads(open_bytes, "utf-8"):
        return "utf-8"
    return _guessed(open_bytes, path)


def _reads(open_bytes: Open, encoding: str) -> bool:
    """Tell whether a whole file can be decoded."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with open_bytes() as stream:
            for chunk in iter(partial(stream.read, _CHUNK), b""):
                decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _wide_encoding(open_bytes: Open, path: Path, start: bytes) -> str:
    """Tell which half of each character is zero: letters, quotes and line ends have one."""
    even, odd = start[::2].count(0), start[1::2].count(0)
    width = 32 if min(even, odd) > len(start) / 8 else 16
    encoding = f"utf-{width}-{'be' if even > odd else 'le'}"
    if not _reads(open_bytes, encoding):
        _refuse(open_bytes, path)
    with io.TextIOWrapper(open_bytes(), encoding) as text:
        _warn(path, "has zeros between its letters", encoding, text.read(_SHOWN))
    return encoding


def _guessed(open_bytes: Open, path: Path) -> str:
    place = _first_break(open_bytes)
    with open_bytes() as stream:
        sample = b"\n".join(_foreign_words(stream))[:_SAMPLE]
    told = sample.decode("utf-8", "replace")
    broken = told.count("\ufffd")
    if sum(not character.isascii() for character in told) - broken > _DAMAGED * broken:
        raise InputError(
            f"Expected UTF-8 in {path}; it is, but for {place}: the file is damaged there, or two "
            "encodings were joined. Mend that line."
        )
    for encoding in _guesses(sample):
        if _reads(open_bytes, encoding):
            before = len(place.content[: place.byte - 1].decode(encoding, "replace"))
            shown = place.content.decode(encoding)[max(0, before - _SHOWN // 4) :][:_SHOWN]
            _warn(path, f"is not UTF-8 ({place})", encoding, shown.strip())
            return encoding
    return _refuse(open_bytes, path)


def _foreign_words(stream: BinaryIO) -> Iterator[bytes]:
    """Yield words that are not ASCII: keys and markup would drown them."""
    size = 0
    for line in stream:
        for word in line.split():
            if not word.isascii():
                yield word
                size += len(word)
        if size > _SAMPLE:
            return


def _guesses(sample: bytes) -> list[str]:
    """Return encodings that a sample may be in, the likeliest first."""
    matches = from_bytes(sample, cp_isolation=list(_KNOWN), threshold=_CONFUSED)
    ranked = sorted(
        matches, key=lambda match: (match.chaos - match.coherence, _KNOWN.index(match.encoding))
    )
    names = [match.encoding for match in ranked]
    shares = {name: _share_of_letters(sample.decode(name, "replace")) for name in _LATIN}
    is_latin = names[0] in _LATIN if names else max(shares.values()) >= _LATIN_LETTERS
    if is_latin or _has_single_letters(sample):
        latin = sorted(_LATIN, key=lambda name: -shares[name])
        names = [*latin, *(name for name in names if name not in _LATIN)]
    return names


def _has_single_letters(sample: bytes) -> bool:
    """Tell whether accented letters stand alone among others, as Latin scripts alone have them.

    Little text says little of letters' frequencies, by which the detector goes.
    """
    runs = [len(run) for run in _FOREIGN.findall(sample)]
    latin = _share_of_letters(sample.decode(_LATIN[0], "replace"))
    return sum(runs) <= _ALONE * len(runs) and latin >= _LATIN_LETTERS


def _share_of_letters(text: str) -> float:
    """Return how much of what is not ASCII belongs to a single language's alphabet."""
    foreign = [character for character in text.replace("İ", "ı").lower() if not character.isascii()]
    letters = [character for character in foreign if character not in _NEUTRAL]
    shares = (sum(letter in alphabet for letter in letters) for alphabet in _ALPHABETS)
    return max(shares) / max(1, len(letters))


def _first_break(open_bytes: Open) -> _Break:
    with open_bytes() as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return _Break(number, error.start + 1, line)
    raise AssertionError("a file that is not UTF-8 has a line that is not")


def _warn(path: Path, why: str, encoding: str, sample: str) -> None:
    _logger.warning(
        "%s %s: it is read as %s, which is a guess, and gives %r. If that is wrong, convert the "
        "file: iconv -f ITS-ENCODING -t UTF-8 %s > utf8-%s",
        *(path, why, encoding.upper(), sample, path.name, path.name),
    )


def _refuse(open_bytes: Open, path: Path) -> str:
    with open_bytes() as stream:
        start = b"".join(islice(stream, 1))[:16]
    raise InputError(
        f"Expected text in {path}; it begins with {start!r} and is in no encoding that is known "
        "here, or damaged. Convert it: iconv -f ITS-ENCODING -t UTF-8 "
        f"{path.name} > utf8-{path.name}"
    )
