"""Offsets that are off, or whose text is written otherwise there, and stands near them twice."""

import random

import pytest

from qa_lightning.alignment import DEFAULT_THRESHOLD, locate_answer

WORDS = {
    "de": "Stadt Fluss Museum Lehrer Geschichte Krieg Dampfmaschine Größe Köln Straße 1850",
    "tr": "şehir ırmak müze öğretmen tarih savaş ağırlık nüfus İzmir kalabalık 1850",
    "vi": "thành phố dòng sông bảo tàng giáo viên lịch sử chiến tranh phía bắc 1850",
    "el": "πόλη ποταμός μουσείο δάσκαλος ιστορία πόλεμος Αθήνα θάλασσα γλώσσα 1850",
    "ru": "город река музей учитель история война Москва море язык население 1850",
    "he": "עיר נהר מוזיאון מורה היסטוריה מלחמה ירושלים שפה בניין ספרייה 1850",
    "ar": "مدينة نهر متحف معلم تاريخ حرب القاهرة لغة سكان مكتبة ١٨٥٠",
    "hi": "नगर नदी संग्रहालय अध्यापक इतिहास युद्ध दिल्ली भाषा जनसंख्या पुस्तकालय 1850",
    "ko": "도시 박물관 선생님 역사책 전쟁터 서울시 언어학 인구수 도서관 바닷가 1850",
    "th": "แม่น้ำ พิพิธภัณฑ์ อาจารย์ ประวัติ สงคราม กรุงเทพ ภาษาไทย ประชากร ห้องสมุด 1850",
    "zh": "博物馆 老师们 历史书 世界大战 北京市 语言学 人口数 图书馆 工程师 大河流 1850",
}
UNSPACED = ("th", "zh")


def twice(disturbed, script, number, most):
    """Return labels that are off by a few characters, and whose text stands twice side by side."""
    source = random.Random(f"{script} {most}")
    blank, words = ("" if script in UNSPACED else " "), WORDS[script].split()
    labels = []
    while len(labels) < number:
        answer = source.choice(words)
        others = [word for word in words if word != answer]
        before, after = (source.choices(others, k=source.randint(5, 30)) for _ in range(2))
        context = blank.join([*before, answer, answer, *after])
        places = [context.index(answer), context.rindex(answer)]
        true = source.choice(places)
        start = true + source.randint(1, most) * source.choice((-1, 1))
        if start > 0 and start not in places:
            labels.append(disturbed.Label(context, "?", answer, start, true, true + len(answer)))
    return labels


@pytest.mark.parametrize("rows", [1, 2, 5, 40])
def test_the_nearest_of_two_is_meant_or_none_is_taken(disturbed, rows):
    files = []
    for script in WORDS:
        labels = twice(disturbed, script, rows if rows > 5 else 10, 3)
        files += [labels[first : first + rows] for first in range(0, len(labels), rows)]
    figures = [disturbed.judged(file)[0] for file in files]
    number = sum(one.labels for one in figures)
    assert number >= 10 * len(WORDS)
    assert sum(one.wrong for one in figures) <= 0.005 * number


def test_what_is_clearly_the_nearest_is_not_left_out(disturbed):
    clear = 0
    for script in WORDS:
        for one in twice(disturbed, script, 60, 3):
            places = one.context.index(one.text), one.context.rindex(one.text)
            near, far = sorted(1 + abs(place - one.start) for place in places)
            found = locate_answer(one.context, "?", one.text, one.start, language=None)
            is_trusted = found.confidence >= DEFAULT_THRESHOLD
            if near <= 3:  # farther away, a way of counting may speak for the other
                assert is_trusted == (far >= 2.45 * near)
            if is_trusted:
                clear += 1
                assert (found.start_char, found.end_char) == (one.true_start, one.true_end)
    assert clear > 200


def test_a_way_of_counting_wins_against_the_nearest_only_where_the_file_proves_it(disturbed):
    """In bytes the offset points at the first of two; the second is one character before it."""
    context = "ığşüöç ığşüöç Çağrı yaza Çağrı idi."
    first, second = context.index("Çağrı"), context.rindex("Çağrı")
    offset = len(context[:first].encode())
    assert offset == second + 1
    found = locate_answer(context, "?", "Çağrı", offset, language=None)
    assert found[:2] == (second, second + len("Çağrı"))
    assert found.confidence >= DEFAULT_THRESHOLD

    counted = []
    for number in range(5):
        other = f"Çok güzel bir öykü: şehir {number} ve taş {number} üstünde."
        place = other.index(f"taş {number}")
        start = len(other[:place].encode())
        counted.append(disturbed.Label(other, "?", f"taş {number}", start, place, place + 5))
    last = disturbed.Label(context, "?", "Çağrı", offset, first, first + len("Çağrı"))
    figures, audit = disturbed.judged([*counted, last])
    assert figures == (6, 0, 0)
    assert audit.offset_unit == "UTF-8 bytes"


@pytest.mark.parametrize("drift", [-7, -2, 1, 7])
def test_a_drift_that_all_share_is_learned(disturbed, drift):
    """Of two places the one that is as far off as the others' texts, not the nearest."""
    words = [f"w{number:02}abcd" for number in range(40)]
    context = " ".join(words) + " tram tram."
    labels = [
        disturbed.Label(context, "?", word, context.index(word) + drift, context.index(word), 0)
        for word in words[8:]
    ]
    true = context.index("tram") if drift > 0 else context.rindex("tram")
    labels.append(disturbed.Label(context, "?", "tram", true + drift, true, 0))
    labels = [one._replace(true_end=one.true_start + len(one.text)) for one in labels]
    assert disturbed.judged(labels)[0] == (len(labels), 0, 0)


@pytest.mark.parametrize(
    "write",
    [str.upper, str.lower, str.title, lambda text: text.replace("i", "İ").upper()],
    ids=["upper", "lower", "title", "turkish"],
)
@pytest.mark.parametrize("script", ["de", "tr", "vi", "el", "ru"])
def test_answers_all_written_in_another_case_are_where_the_offsets_say(disturbed, script, write):
    """The text stands nowhere letter for letter: that makes no noise of the offsets."""
    labels = [
        one._replace(
            context=f"{one.context} {write(one.text)}", text=write(one.text), start=one.true_start
        )
        for one in twice(disturbed, script, 20, 3)
    ]
    openings = [
        one._replace(context=f"{write(one.text)} {one.context}", start=0) for one in labels[:5]
    ]
    labels += [one._replace(true_start=0, true_end=len(one.text)) for one in openings]
    figures, audit = disturbed.judged([one._replace(text=f"«{one.text}»") for one in labels])
    assert figures == (25, 0, 0)
    assert not audit.offsets_are_noise


@pytest.mark.parametrize("script", ["de", "ru", "zh"])
def test_zeros_that_stand_for_missing_offsets_make_no_noise_of_the_others(disturbed, script):
    labels = twice(disturbed, script, 30, 3)
    missing = [
        one._replace(
            context=f"77777{index}. {'x' * 30} {one.context} 88888{index}.",
            text=f"88888{index}",
            start=0,
            true_start=len(one.context) + 40,
            true_end=len(one.context) + 46,
        )
        for index, one in enumerate(labels[:8])
    ]
    figures, audit = disturbed.judged([*labels, *missing])
    assert audit.offsets_are_noise
    assert audit.only_zeros_are_noise
    assert figures.wrong == 0
    far = [one._replace(start=len(one.context) // 3) for one in missing]
    assert not disturbed.judged(far)[1].only_zeros_are_noise


COUNTS = {
    "UTF-8 bytes": lambda text: len(text.encode()),
    "UTF-16 units": lambda text: len(text.encode("utf-16-le")) // 2,
    r"\r\n as one character": lambda text: len(text.replace("\r\n", "\n")),
}


@pytest.mark.parametrize("unit", COUNTS)
def test_a_way_of_counting_is_proven_by_offsets_that_miss_by_a_letter_too(disturbed, unit):
    source = random.Random(unit)
    for script in ("el", "ru", "ar", "hi", "ko", "th"):
        labels = []
        for _ in range(12):
            words = WORDS[script].split()
            source.shuffle(words)
            filler = " ".join(f"{word}🚲\r\n" for word in source.choices(words, k=60))
            answer = f"{words[0]}{len(labels)}"
            context = f"{filler}{answer} ja {answer}{filler}"
            true = context.index(answer)
            start = COUNTS[unit](context[:true]) + source.choice((-1, 0, 1))
            labels.append(disturbed.Label(context, "?", answer, start, true, true + len(answer)))
        figures, audit = disturbed.judged(labels)
        assert audit.offset_unit == unit
        assert figures == (12, 0, 0)


@pytest.mark.parametrize("off", [-3, -1, 1, 2])
def test_what_stands_verbatim_keeps_the_marks_at_its_edges(off):
    source = random.Random(off)
    for language in ("en", "de", "pt", "ru", None):
        words = WORDS.get(language, WORDS["de"]).split()
        for mark in '-\u2010\u2011\u2013.,)"\u00bb%':
            one, other, *rest = source.sample(words, 6)
            context = f"{rest[0]} {rest[1]} {one}{mark}{other}  {rest[2]} exam-\nple {rest[3]}"
            true = context.index(one + mark + other)
            for answer, start in ((one + mark, true), (mark + other, true + len(one))):
                found = locate_answer(context, "?", answer, start + off, language=language)
                text = context[found.start_char : found.end_char]
                assert text == answer, (language, mark, answer)


def test_a_hyphen_of_its_own_is_the_answer_where_it_stands_once_more_without():
    context = "The center of Fresno's African-American community grew. African - later Asian."
    for start in (22, 24, 25):
        found = locate_answer(context, "Which?", "African-", start, language="en")
        assert (found.start_char, found.end_char) == (23, 31)


@pytest.mark.parametrize("unit", COUNTS)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_files_of_which_a_part_was_counted_otherwise(disturbed, unit, share):
    """Two data sets in one: what stands stays, and what does not is where the other count says."""
    source = random.Random(f"{unit} {share}")
    labels = []
    for written in WORDS.values():
        for _ in range(10):
            words = source.choices(written.split(), k=40)
            pieces = [f"{word} 🚲\r\n" for word in words]
            at = source.randrange(10, 40)
            context, true = "".join(pieces), len("".join(pieces[:at]))
            start = COUNTS[unit](context[:true]) if source.random() < share else true
            end = true + len(words[at])
            labels.append(disturbed.Label(context, "?", words[at], start, true, end))
    figures, audit = disturbed.judged(labels)
    assert audit.offset_unit == unit
    assert figures.lost == 0
    assert figures.wrong <= 2  # they stand where characters say too, by chance
    exact = [one for one in labels if one.start == one.true_start]
    assert audit.by_status["exact"] >= len(exact)
