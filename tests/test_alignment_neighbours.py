"""Offsets into another text: the answers that stand once tell where the others are meant."""

import random
from itertools import accumulate

import pytest

from qa_lightning.alignment.locate import locate_answer
from qa_lightning.alignment.neighbours import OTHER_TEXT, Anchor, Neighbours, Scale
from qa_lightning.alignment.offsets import Offsets
from qa_lightning.examples import load_examples

LETTERS = {
    "latin": "abcdefghilmnoprstuvz",
    "turkish": "abcçdefgğhıijklmnoöprsştuüvyz",
    "greek": "αβγδεζηθικλμνξοπρστυφχψω",
    "hebrew": "אבגדהוזחטיכלמנסעפצקרשת",
    "han": "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着",
    "thai": "กขคงจชซดตถทธนบปผพฟมยรลวสหอฮ",
}
UNSPACED = ("han", "thai")


def made(disturbed, script, *, contexts=8, single=6, repeated=3):
    """Return exact labels, in documents where some answers stand once and others three times."""
    source = random.Random(f"{script} {contexts} {single}")
    blank = "" if script in UNSPACED else " "
    labels = []
    for _ in range(contexts):
        words = ["".join(source.choices(LETTERS[script], k=6)) for _ in range(120)]
        places = source.sample(range(len(words)), single + 3 * repeated)
        for index in range(repeated):
            for place in places[index + repeated :: repeated][:2]:
                words[place] = words[places[index]]
        pieces = [word + (". " if source.random() < 0.1 else blank) for word in words]
        context = "".join(pieces)
        begins = [0, *accumulate(map(len, pieces))]
        asked = [place for place in range(len(words)) if context.count(words[place]) == 1]
        asked = source.sample(asked, single) + [
            source.choice(places[index::repeated][:3]) for index in range(repeated)
        ]
        labels += [
            disturbed.Label(context, "?", words[at], begins[at], begins[at], begins[at] + 6)
            for at in asked
        ]
    return labels


def of_its_document(label, least, most):
    """Return a number that is the same for all labels of a document."""
    return random.Random(label.context).randint(least, most)


def counted(label, length_of):
    return label._replace(start=sum(map(length_of, label.context[: label.true_start])))


def with_words_put_in(label):
    """Put something into the document that was not there when it was labelled."""
    added, at = "+" * of_its_document(label, 25, 90), label.context.index(" ", 150) + 1
    by = len(added) if label.true_start >= at else 0
    return label._replace(
        context=label.context[:at] + added + label.context[at:],
        true_start=label.true_start + by,
        true_end=label.true_end + by,
    )


def stand(labels):
    """Return the labels that nothing was put into."""
    return [one for one in labels if one.context[one.true_start : one.true_end] == one.text]


WAYS = {
    "a title in front": lambda one: one._replace(start=one.start + of_its_document(one, 20, 150)),
    "of the whole book": lambda one: one._replace(start=one.start + of_its_document(one, 0, 10**6)),
    "the same in front of all": lambda one: one._replace(start=one.start + 40),
    "words put in": with_words_put_in,
    "[12] taken out": lambda one: counted(one, lambda letter: 5 if letter == "." else 1),
    "two bytes each": lambda one: counted(one, lambda letter: 2),
    "from the end": lambda one: one._replace(start=len(one.context) - one.start),
}


@pytest.mark.parametrize("script", LETTERS)
@pytest.mark.parametrize("way", WAYS)
def test_what_stands_once_tells_where_the_rest_is_meant(disturbed, way, script):
    labels = stand([WAYS[way](one) for one in made(disturbed, script)])
    figures, audit = disturbed.judged(labels)
    assert audit.offset_unit == OTHER_TEXT
    assert figures.labels >= 70
    assert figures.wrong <= 1  # it may stand at the offset by chance, and stays there
    assert figures.lost <= 2
    assert audit.drifted + audit.by_status["exact"] >= figures.labels - 5


@pytest.mark.parametrize("script", LETTERS)
def test_what_nearly_all_documents_share_needs_no_neighbours(disturbed, script):
    """A question a document: those of other documents are off by as much."""
    once = made(disturbed, script, contexts=30, single=1, repeated=0)
    twice = made(disturbed, script, contexts=10, single=0, repeated=1)
    labels = [WAYS["the same in front of all"](one) for one in once + twice]
    assert len({one.context for one in labels}) == 40
    figures, audit = disturbed.judged(labels)
    assert figures == (40, 0, 0)
    assert audit.drifted == 40


def random_start(label):
    return label._replace(start=random.Random(str(label)).randrange(1, len(label.context)))


@pytest.mark.parametrize("script", LETTERS)
@pytest.mark.parametrize(
    "noise",
    [
        random_start,
        lambda one: one._replace(start=0),
        lambda one: one._replace(start=-1),
        lambda one: one._replace(start=77),
        lambda one: one._replace(start=of_its_document(one, 1, 700)),
    ],
    ids=["random", "0", "-1", "one for all", "one a document"],
)
def test_noise_proves_nothing(disturbed, noise, script):
    labels = [noise(one) for one in made(disturbed, script)]
    figures, audit = disturbed.judged(labels)
    assert audit.offset_unit is None
    assert figures.wrong <= audit.drifted + audit.by_status["exact"] <= 3  # by chance


@pytest.mark.parametrize("script", LETTERS)
@pytest.mark.parametrize("share", [0.1, 0.4])
def test_exact_labels_stay_beside_others_that_are_off(disturbed, share, script):
    """Also in a file of which some documents prove another text."""
    labels = made(disturbed, script, contexts=12)
    source = random.Random(share)
    for other in (random_start, WAYS["a title in front"]):
        is_off = {one.context: source.random() < share for one in labels}
        mixed = [other(one) if is_off[one.context] else one for one in labels]
        exact = [one for one in mixed if one.start == one.true_start]
        figures, audit = disturbed.judged(mixed)
        assert audit.by_status["exact"] >= len(exact)
        assert figures.wrong <= 0.005 * len(mixed)


def test_noise_beside_another_text_is_seldom_believed(disturbed):
    for share in (0.1, 0.2):
        source = random.Random(share)
        labels = [
            random_start(one) if source.random() < share else WAYS["a title in front"](one)
            for script in LETTERS
            for one in made(disturbed, script, contexts=4)
        ]
        figures, audit = disturbed.judged(labels)
        assert audit.offset_unit == OTHER_TEXT
        assert figures.wrong <= 0.02 * figures.labels  # a third stand three times
        assert figures.lost <= 0.6 * share * figures.labels


def cut(label, first, last):
    """Return a label whose document was cut to a part, with -1 where its answer is not in it."""
    start, end = int(first * len(label.context)), int(last * len(label.context))
    is_in = start <= label.true_start and label.true_end <= end
    place = label.true_start - start if is_in else -1
    return label._replace(
        context=label.context[start:end],
        true_start=place,
        true_end=place + len(label.text) if is_in else -1,
    )


@pytest.mark.parametrize("script", LETTERS)
def test_of_documents_cut_at_their_end_no_other_place_is_taken(disturbed, script):
    """What is gone stands elsewhere as often as others stand twice, and was not meant there."""
    labels = [cut(one, 0, 0.6) for one in made(disturbed, script, contexts=20)]
    gone = [one for one in labels if one.true_start < 0]
    figures, audit = disturbed.judged(labels)
    assert sum(one.text in one.context for one in gone) >= 15
    assert audit.by_status["exact"] == figures.labels - len(gone)
    assert (figures.wrong, figures.lost) == (0, len(gone))


@pytest.mark.parametrize("script", LETTERS)
def test_of_documents_cut_at_their_beginning_the_rest_is_found(disturbed, script):
    labels = [cut(one, 0.4, 1) for one in made(disturbed, script, contexts=20)]
    gone = [one for one in labels if one.true_start < 0]
    figures, audit = disturbed.judged(labels)
    assert audit.offset_unit == OTHER_TEXT
    assert figures.wrong <= 0.06 * figures.labels  # a third stand three times
    assert figures.lost <= len(gone) + 0.02 * figures.labels


@pytest.mark.realdata
@pytest.mark.parametrize("language", ["en", "es", "ar", "tr"])
@pytest.mark.parametrize("way", WAYS)
def test_people_s_labels_whose_offsets_count_another_text(disturbed, realdata, way, language):
    labels = disturbed.exact_labels(load_examples(str(realdata / f"xquad_{language}.json")))
    labels = stand([WAYS[way](one) for one in labels if " " in one.context[150:]])
    figures, audit = disturbed.judged(labels)
    assert audit.offset_unit == OTHER_TEXT
    assert figures.wrong <= 0.005 * figures.labels
    assert figures.lost <= 0.015 * figures.labels


@pytest.mark.realdata
def test_where_only_the_question_tells_its_confidence_is_honest(disturbed, realdata):
    """Of answers without any offset those that are trusted at .85 or more are mostly right."""
    labels = disturbed.exact_labels(load_examples(str(realdata / "xquad_en.json")))
    figures, audit = disturbed.judged([one._replace(start=0) for one in labels], "en")
    assert audit.offsets_are_noise
    assert figures.wrong <= 0.005 * figures.labels
    assert figures.lost <= 0.05 * figures.labels


@pytest.mark.parametrize("start", [0, -1, -2, -40])
def test_no_answer_is_put_before_its_context(start):
    """What the others say of an offset that is missing may lie before the text, or at its end."""
    context = "alpha beta gamma delta epsilon alpha beta zeta eta theta. iota"
    for answer in ("zeta", "alpha", "iota", "a. iota"):
        for place in range(-len(context) - 20, 20):
            scale = Scale(1.0, float(place - start))
            known = Offsets(scale=scale, neighbours=Neighbours([], scale), zero_counts=start == 0)
            span = locate_answer(context, "?", answer, start, language=None, offsets=known)
            if span.start_char is not None:
                assert 0 <= span.start_char < span.end_char <= len(context)
                assert context[span.start_char : span.end_char] == answer


def test_what_stands_stays_where_a_neighbour_stands_too():
    """Two annotators' offsets in one document: which of them counts otherwise is not known."""
    pieces = [f"w{number:03} " for number in range(60)]
    pieces[8] = pieces[13] = "same "  # at 40 and at 65
    context = "".join(pieces)
    astray = [Anchor(100, 125), Anchor(130, 155)]
    for anchors, expected in ((astray, 65), ([Anchor(10, 10), *astray], 40)):
        known = Offsets(scale=Scale(), neighbours=Neighbours(anchors, Scale()))
        span = locate_answer(context, "?", "same", 40, language=None, offsets=known)
        assert span.start_char == expected
