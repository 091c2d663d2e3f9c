"""What the package knows about single languages: one table, and nothing language-specific outside.

Sources: articles of the MLQA languages from the official MLQA evaluation script
(facebookresearch/MLQA, ``mlqa_evaluation_v1.py``); Portuguese is ours.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from qa_lightning.errors import InputError
from qa_lightning.ranges import shown


@dataclass(frozen=True)
class Language:
    """Hold the words of one language that scoring and alignment need, all in lower case.

    Attributes:
        code: ISO 639-1 code.
        articles: definite and indefinite articles.
        contractions: a contracted preposition and article to its two words (``do`` → ``de o``).
        question_words: question class (``who``, ``when``, …) to the words that open such questions.
        function_words: prepositions, conjunctions, pronouns and auxiliaries, articles left out.
        light_words: possessives, negation and words of degree, which mean more than those.
        telling_words: those of all these that no neighbouring language writes (``não``, where
            Galician has ``non``): a text is in this language only where they stand too.
        cardinals: number words to their values.
        ordinals: ordinal words to their values.
        multipliers: words that multiply the number before them.
        ones: articles that are the number one before a multiplier (``um milhão``).
        number_joiners: words between the parts of a number (``vinte e cinco``).
        inflections: endings that inflection and derivation add to a stem, longest first.
        plurals: a plural's ending to the singular's (``ais`` → ``al``), regular ``s`` included.
        english_endings: this language's ending to its English cognate's (``ção`` → ``tion``).
        english_spellings: letters of English cognates to this language's (``ph`` → ``f``).
        ordinal_suffixes: letters that make a number in digits an ordinal (``th``).
        possessive: letter that marks a possessor after an apostrophe.
        attached: articles, and what stands before them, that are written onto a word.
        glossary: name of the word list, in ``alignment/glossaries``, that groups this language's
            words with the English words they translate.
    """

    code: str
    articles: frozenset[str] = frozenset()
    contractions: Mapping[str, str] = field(default_factory=dict)
    question_words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    function_words: frozenset[str] = frozenset()
    light_words: frozenset[str] = frozenset()
    telling_words: frozenset[str] = frozenset()
    cardinals: Mapping[str, int] = field(default_factory=dict)
    ordinals: Mapping[str, int] = field(default_factory=dict)
    multipliers: Mapping[str, int] = field(default_factory=dict)
    ones: tuple[str, ...] = ()
    number_joiners: tuple[str, ...] = ()
    inflections: tuple[str, ...] = ()
    plurals: tuple[tuple[str, str], ...] = ()
    english_endings: tuple[tuple[str, str], ...] = ()
    english_spellings: tuple[tuple[str, str], ...] = ()
    ordinal_suffixes: tuple[str, ...] = ()
    possessive: str | None = None
    attached: tuple[str, ...] = ()
    glossary: str | None = None


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Read ``own-other own-other …``."""
    return tuple((own, other) for own, _, other in (pair.partition("-") for pair in text.split()))


_PT_FUNCTION_WORDS = """
de do da dos das dum duma em no na nos nas num numa nuns numas por pelo pela pelos pelas
para pra pro com sob sobre entre até desde após ante contra perante durante e ou nem mas
que se como quando onde quem qual quais cujo cuja ao aos à às lo la los las lhe lhes me te
ele ela eles elas isso isto aquilo este esta estes estas esse essa esses essas aquele aquela
aqueles aquelas deste desta destes destas desse dessa desses dessas neste nesta nesse nessa
naquele naquela é são foi foram era eram ser sendo sido está estão estava estavam há tem têm
tinha ter também já
"""
_PT_LIGHT_WORDS = """
seu sua seus suas dele dela deles delas meu minha meus minhas nosso nossa não sem mais menos
muito muita muitos muitas só apenas somente
"""
_PT_TELLING_WORDS = """
um uma uns umas em num numa não são à às pelo pela pelos pelas também até muito muita isso
"""
_PT_MULTIPLIERS = {
    "mil": 10**3, "milhão": 10**6, "milhões": 10**6, "bilhão": 10**9, "bilhões": 10**9,
}  # fmt: skip
_PT_CARDINALS = {
    word: value
    for value, words in {
        2: "dois duas", 3: "três", 4: "quatro", 5: "cinco", 6: "seis", 7: "sete", 8: "oito",
        9: "nove", 10: "dez", 11: "onze", 12: "doze", 13: "treze", 14: "quatorze catorze",
        15: "quinze", 16: "dezesseis dezasseis", 17: "dezessete dezassete", 18: "dezoito",
        19: "dezenove dezanove", 20: "vinte", 30: "trinta", 40: "quarenta", 50: "cinquenta",
        60: "sessenta", 70: "setenta", 80: "oitenta", 90: "noventa", 100: "cem cento",
        200: "duzentos duzentas", 300: "trezentos trezentas",
        400: "quatrocentos quatrocentas", 500: "quinhentos quinhentas",
        600: "seiscentos seiscentas", 700: "setecentos setecentas",
        800: "oitocentos oitocentas", 900: "novecentos novecentas", 1000: "mil",
    }.items()
    for word in words.split()
}  # fmt: skip
_PT_ORDINALS = {
    stem + ending: value
    for value, stems in {
        1: "primeir", 2: "segund", 3: "terceir", 4: "quart", 5: "quint", 6: "sext",
        7: "sétim", 8: "oitav", 9: "non", 10: "décim", 20: "vigésim", 100: "centésim",
    }.items()
    for stem in stems.split()
    for ending in ("o", "a", "os", "as")
}  # fmt: skip
_PT_INFLECTIONS = """
amentos imentos amento imento adamente idamente adores adoras edores idores ações ições ador
adora edor idor ação ição mente aram eram iram avam ariam eriam iriam ando endo indo ados adas
idos idas ado ada ido ida asse esse isse ava ia ará erá irá am em ar er ir ou eu iu ões ães ãos
ais éis óis is ns res zes es os as o a e s
"""
_PT_PLURALS = (
    "s- ais-al eis-el eis-il óis-ol uis-ul is-il ns-m ões-ão ães-ão ãos-ão res-r zes-z ses-s"
)
_EN_PLURALS = "s- es- ies-y ves-f ves-fe"
_PT_ENGLISH_ENDINGS = """
ções-tions ção-tion sões-sions são-sion dades-ties dade-ty mente-ly ismo-ism ista-ist ência-ence
ância-ance ário-ary ária-ary ório-ory ória-ory logia-logy grafia-graphy fia-phy ia-y ico-ic ica-ic
ica-ics ico-ical oso-ous osa-ous ivo-ive iva-ive tor-tor ável-able ível-ible ano-an ana-an
ente-ent ante-ant agem-age ado-ate ado-ed ada-ed ados-ed adas-ed ando-ing ato-ate izar-ize ura-ure
eto-ect eza-ness ense-ian ês-ese o- a- e- o-e a-e ga-gue ão-an ão-on
"""
_EN_FUNCTION_WORDS = """
of in on at to from by for with into onto over under between about after before and or but nor as
than that which who whom whose this these those it he she they him them is are was were be been
being has have had do does did
"""
_EN_LIGHT_WORDS = """
its his her their my our your not without only more most less many much
"""
_EN_TELLING_WORDS = """
the of and to that with from which
"""
_EN_FIRST_CARDINALS = """
two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen twenty
"""
_EN_FIRST_ORDINALS = """
first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth
"""
_EN_CARDINALS = {
    word: value
    for value, word in enumerate(
        _EN_FIRST_CARDINALS.split(),
        start=2,
    )
} | {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_EN_ORDINALS = {
    word: value
    for value, word in enumerate(
        _EN_FIRST_ORDINALS.split(),
        start=1,
    )
}
_PT_CONTRACTIONS = {
    contracted: f"{preposition} {article}"
    for preposition, pairs in {
        "de": "do:o da:a dos:os das:as dum:um duma:uma duns:uns dumas:umas",
        "em": "no:o na:a nos:os nas:as num:um numa:uma nuns:uns numas:umas",
        "a": "ao:o aos:os à:a às:as",
        "por": "pelo:o pela:a pelos:os pelas:as",
    }.items()
    for contracted, article in (pair.split(":") for pair in pairs.split())
}


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


def _phrases(**classes: str) -> dict[str, tuple[str, ...]]:
    """Read question words written as ``who="quem, de quem"``."""
    return {name: tuple(words.split(", ")) for name, words in classes.items()}


_PT_QUESTIONS = _phrases(
    who="quem",
    what="que, o que, quê",
    which="qual, quais",
    when="quando, em que ano, que ano, em qual ano, qual ano, em que dia, em que data, qual data, "
    "em que mês, em que século, em que época",
    where="onde, aonde, donde, em que lugar, em que cidade, em qual cidade, em que país, "
    "em qual país",
    why="por que, por quê, porque, porquê, por qual motivo, por que motivo",
    how="como",
    how_many="quanto, quanta, quantos, quantas",
)
_EN_QUESTIONS = _phrases(
    who="who, whom, whose",
    what="what",
    which="which",
    when="when, what year, which year, what date, what month, what century, what day",
    where="where, what city, which city, what country, which country",
    why="why",
    how="how",
    how_many="how many, how much, how long, how old, how far, how often",
)
_ES_QUESTIONS = _phrases(
    who="quién, quiénes",
    what="qué",
    which="cuál, cuáles",
    when="cuándo, en qué año, qué año, en qué fecha, en qué mes, en qué siglo",
    where="dónde, adónde, en qué lugar, en qué ciudad, en qué país",
    why="por qué",
    how="cómo",
    how_many="cuánto, cuánta, cuántos, cuántas",
)
_DE_QUESTIONS = _phrases(
    who="wer, wen, wem, wessen",
    what="was, wovon, womit, worauf, wofür",
    which="welche, welcher, welches, welchen, welchem",
    when="wann, in welchem jahr, welches jahr, an welchem tag, in welchem jahrhundert",
    where="wo, wohin, woher, in welcher stadt, in welchem land",
    why="warum, weshalb, wieso",
    how="wie",
    how_many="wie viel, wie viele, wieviel, wieviele, wie lange, wie oft, wie alt",
)
_AR_QUESTIONS = _phrases(
    who="من, لمن",
    what="ما, ماذا, بماذا",
    which="أي, أية",
    when="متى, في أي عام, في أي سنة, في أي تاريخ",
    where="أين, من أين, في أي مدينة, في أي بلد",
    why="لماذا, لم",
    how="كيف",
    how_many="كم",
)
_HI_QUESTIONS = _phrases(
    who="कौन, किसने, किसके, किसको, किसे",
    what="क्या",
    which="किस, कौन सा, कौन सी, कौन से",
    when="कब, किस वर्ष, किस साल, किस तारीख",
    where="कहाँ, कहां, किस शहर, किस देश",
    why="क्यों",
    how="कैसे, कैसा, कैसी",
    how_many="कितना, कितनी, कितने",
)
_VI_QUESTIONS = _phrases(
    who="ai",
    what="gì, cái gì",
    which="nào",
    when="khi nào, bao giờ, năm nào, ngày nào, lúc nào",
    where="đâu, ở đâu, nơi nào, thành phố nào, quốc gia nào, nước nào",
    why="tại sao, vì sao",
    how="như thế nào, thế nào, làm thế nào",
    how_many="bao nhiêu, mấy, bao lâu",
)
_ZH_QUESTIONS = _phrases(
    who="谁, 誰",
    what="什么, 什麼, 何",
    which="哪, 哪个, 哪個, 哪些, 哪一",
    when="什么时候, 什麼時候, 何时, 何時, 哪年, 哪一年, 哪天",
    where="哪里, 哪裡, 哪儿, 何处, 何處, 什么地方, 哪个城市, 哪个国家",
    why="为什么, 為什麼, 为何, 為何",
    how="如何, 怎么, 怎麼, 怎样, 怎樣",
    how_many="多少, 几, 幾, 多久, 多长",
)
_RU_QUESTIONS = _phrases(
    who="кто, кого, кому, кем, чей, чья, чьё, чьи",
    what="что, чего, чему, чем",
    which="какой, какая, какое, какие, какого, какую, каким, каких, какими, который, которая, "
    "которое, которые",
    when="когда, в каком году, какой год, какого числа, в какой день, в каком месяце, в каком веке",
    where="где, куда, откуда, в каком городе, в какой стране, в каком месте",
    why="почему, зачем, отчего",
    how="как, каким образом",
    how_many="сколько, скольких, насколько, как долго, как часто",
)
_TH_QUESTIONS = _phrases(
    who="ใคร",
    what="อะไร",
    which="ไหน, ใด",
    when="เมื่อไร, เมื่อไหร่, เมื่อใด, ตอนไหน, ปีใด, ปีไหน, ปีอะไร, วันใด, วันไหน",
    where="ที่ไหน, ที่ใด, เมืองใด, เมืองไหน, ประเทศใด, ประเทศไหน",
    why="ทำไม, เพราะเหตุใด, เพราะอะไร",
    how="อย่างไร, ยังไง",
    how_many="เท่าไร, เท่าไหร่, เท่าใด, กี่",
)

LANGUAGES: dict[str, Language] = {
    language.code: language
    for language in (
        Language(
            "pt",
            articles=_words("o a os as um uma uns umas"),
            contractions=_PT_CONTRACTIONS,
            question_words=_PT_QUESTIONS,
            function_words=frozenset(_PT_FUNCTION_WORDS.split()),
            light_words=frozenset(_PT_LIGHT_WORDS.split()),
            telling_words=frozenset(_PT_TELLING_WORDS.split()),
            multipliers=_PT_MULTIPLIERS,
            ones=("um",),
            number_joiners=("e",),
            cardinals=_PT_CARDINALS,
            ordinals=_PT_ORDINALS,
            inflections=tuple(_PT_INFLECTIONS.split()),
            plurals=_pairs(_PT_PLURALS),
            english_endings=_pairs(_PT_ENGLISH_ENDINGS),
            english_spellings=_pairs("ph-f th-t y-i ck-c k-c w-v"),
            glossary="pt.txt",
        ),
        Language(
            "en",
            articles=_words("a an the"),
            question_words=_EN_QUESTIONS,
            function_words=frozenset(_EN_FUNCTION_WORDS.split()),
            light_words=frozenset(_EN_LIGHT_WORDS.split()),
            telling_words=frozenset(_EN_TELLING_WORDS.split()),
            multipliers={"thousand": 10**3, "million": 10**6, "billion": 10**9},
            ones=("a", "one"),
            number_joiners=("and",),
            cardinals=_EN_CARDINALS,
            ordinals=_EN_ORDINALS,
            inflections=("ings", "ing", "ers", "ed", "er", "es", "s", "ly"),
            plurals=_pairs(_EN_PLURALS),
            ordinal_suffixes=("st", "nd", "rd", "th"),
            possessive="s",
        ),
        Language(
            "es",
            articles=_words("un una unos unas el la los las"),
            question_words=_ES_QUESTIONS,
        ),
        Language(
            "de",
            articles=_words("ein eine einen einem eines einer der die das den dem des"),
            question_words=_DE_QUESTIONS,
        ),
        Language(
            "ar",
            articles=_words("ال"),
            question_words=_AR_QUESTIONS,
            attached=("ال", "وال", "فال", "بال", "كال", "وبال", "وكال", "لل", "ولل"),
        ),
        Language("hi", question_words=_HI_QUESTIONS),
        Language(
            "vi",
            articles=_words("của là cái chiếc những"),
            question_words=_VI_QUESTIONS,
        ),
        Language("zh", question_words=_ZH_QUESTIONS),
        Language("ru", question_words=_RU_QUESTIONS),
        Language("th", question_words=_TH_QUESTIONS),
    )
}


def language_of(code: str) -> Language:
    """Return the table's entry for a language code.

    Raises:
        InputError: the code is not in the table.
    """
    try:
        return LANGUAGES[_family(code)]
    except KeyError:
        known = ", ".join(sorted(LANGUAGES))
        raise InputError(
            f"Expected a language code out of {known}; got {shown(code)}. Leave `language` "
            "out to use the official English rules alone."
        ) from None


_ANSWERS_WITHIN_WORDS = _words("zh yue wuu ja th lo km my bo dz ko ar he")


def answers_end_at_borders(code: str) -> bool:
    """Say whether a language writes blanks between words, and people's answers end at them.

    Not where there are none (Chinese, Japanese, Thai, Lao, Khmer, Burmese, Tibetan), nor where
    particles that answers leave out are written onto words: Korean, Arabic and Hebrew (1.8 % of the
    answers of XQuAD Arabic begin within a word; of the English, Spanish, Turkish 0.0 to 0.2 %).
    """
    return _family(code) not in _ANSWERS_WITHIN_WORDS


def _family(code: str) -> str:
    return code.lower().split("-")[0].split("_")[0]


def language_problems(code: str | None, option: str) -> Iterator[str]:
    """Yield a sentence if a language is not in the table.

    Args:
        code: None: no language.
        option: what the user calls it.
    """
    if isinstance(code, str):
        try:
            language_of(code)
        except InputError as error:
            yield f"`{option}`: {error}"
