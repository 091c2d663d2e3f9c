"""How the work of alignment grows: told in comparisons, not in seconds."""

from collections import Counter

import pytest

from qa_lightning.alignment import locate_answer, matching, questions, similarity
from qa_lightning.alignment.contexts import read_context
from qa_lightning.alignment.words import words_of

SYLLABLES = "ba ce di fo gu lh nh pr tr qu vr ze mu ca ti do"


def word(number: int) -> str:
    """Write a number as a word that few others look like."""
    number = number * 7919 % 65_521
    pairs = SYLLABLES.split()
    return "".join(pairs[number >> shift & 15] for shift in (0, 4, 8, 12))


def document(words: int) -> list[str]:
    said = []
    for index in range(words):
        said.append("de" if index % 3 == 1 else word(index % 4_000))
        if index % 15 == 14:
            said[-1] += "."
    return said


def reworded(answer: list[str]) -> str:
    """Leave out each ninth word, and end each seventh otherwise."""
    changed = (
        one + "s" if index % 7 == 3 else one for index, one in enumerate(answer) if index % 9 != 5
    )
    return " ".join(changed)


@pytest.fixture
def counted(monkeypatch):
    """Count comparisons of words, windows bounded and windows scored."""
    counts = Counter()

    def counting(where, name, amount):
        plain = getattr(where, name)

        def wrapped(*arguments):
            found = plain(*arguments)
            counts[name] += amount(found)
            return found

        monkeypatch.setattr(where, name, wrapped)

    counting(similarity, "word_similarity", lambda found: 1)
    counting(matching.Matcher, "_scored", lambda found: 1)
    counting(matching.Matcher, "_bounds", len)
    counting(questions.QuestionEvidence, "supports", len)
    return counts


@pytest.mark.parametrize("length", [1, 5, 30, 100, 300])
def test_work_grows_with_the_context_and_not_its_square(counted, length):
    """Twice the document is at most twice the work, and little for each of its words."""
    work = []
    for words in (6_000, 12_000):
        said = document(words)
        answer = reworded(said[3_000 : 3_000 + length])
        read_context.cache_clear()
        counted.clear()
        found = locate_answer(" ".join(said), f"Quem {word(2_990)}?", answer, 0, language="pt")
        if length > 1:
            begins, ends = (len(" ".join(said[:place])) for place in (3_000, 3_000 + length))
            assert begins <= found.start_char < found.end_char <= ends + 1
        work.append(counted.copy())
    for name, few in work[0].items():
        assert work[1][name] <= 2.2 * few + 50, name
    assert work[1]["word_similarity"] <= 200 * (length + 10)
    assert work[1]["_scored"] <= 5_000
    assert work[1]["_bounds"] <= 12_000 * (2 * length + 8)


@pytest.mark.parametrize("length", [1, 5, 30, 100, 300])
@pytest.mark.parametrize("blank", [" ", "\n", " \t "])
def test_what_is_written_alike_is_found_without_a_look_at_words(counted, length, blank):
    said = document(12_000)
    answer = said[3_000 : 3_000 + length]
    context = blank.join(said)
    start = len(blank.join(said[:3_000])) + len(blank)
    found = locate_answer(context, "Quem?", " ".join(answer), start, language="pt")
    assert found[:2] == (start, start + len(blank.join(answer)))
    assert not counted


def test_windows_of_short_answers_are_chosen_as_if_all_were_scored():
    """The bound leaves nothing out that comes near the best."""
    context = read_context(" ".join(document(600)), "pt")
    for first in range(0, 300, 7):
        answer = reworded(document(600)[first : first + 6])
        matcher = matching.Matcher(words_of(answer, context.lexicon), context)
        anchors = matcher._anchors()
        longest = 2 * len(matcher.answer) + 4
        every = [
            matcher._scored(start, last + 1)
            for start in anchors
            for last in anchors
            if 0 <= last - start < longest
        ]
        best = max(one.score for one in every)
        near = {one for one in every if one.score > best - matching.CONTENDERS}
        assert near <= set(matcher.candidates())
