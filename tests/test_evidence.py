"""Where an answer stands: its sentence, its tokens' probabilities, and a page that shows it."""

import json
import random
import re
from pathlib import Path

import pytest
import torch
from lxml import html
from playwright.sync_api import Browser, Page

import running
from answerer_support import DOC_STRIDE, MAX_LENGTH, small_network, tokenizer_once, write_checkpoint
from browsing import opened
from features_support import CORPUS
from qa_lightning.answerer import Answers, PlacedAnswer, QuestionAnswerer, Snippet
from qa_lightning.answerer.pages import answers_page
from qa_lightning.answerer.sentences import sentence_around
from qa_lightning.documents import text_document

ROWS = running.rows_of(6)
HOSTILE = "<script>alert(1)</script> & \"quoted\" 'q' </mark> \ud83d {{ 7 * 7 }} <b>Douro</b>"


@pytest.fixture(scope="module")
def answerer(tmp_path_factory: pytest.TempPathFactory) -> QuestionAnswerer:
    path = write_checkpoint(tmp_path_factory.mktemp("run") / "checkpoints" / "best.ckpt")
    return QuestionAnswerer.from_checkpoint(path, device="cpu")


@pytest.mark.parametrize(
    ("text", "span", "sentence"),
    [
        ("Um fim. O Dr. S. Reis nasceu em 1898. Outro.", "1898", "O Dr. S. Reis nasceu em 1898."),
        ("Custa 3.5 reais? Sim! Não.", "Sim", "Sim!"),
        ("Custa 3.5 reais? Sim! Não.", "3.5", "Custa 3.5 reais?"),
        ("Ver n. 5 da lista. Fim", "5", "Ver n. 5 da lista."),
        ("Título\n\nO rio. Outro", "rio", "O rio."),
        ("- um\n- dois\n- três", "dois", "- dois"),
        ("Ele disse: «Vou.» Foi.", "Vou", "Ele disse: «Vou.»"),
        ("東京は首都。大阪は違う。", "大阪", "大阪は違う。"),
        ("هل هذا؟ نعم هذا.", "نعم", "نعم هذا."),
        ("Uma. Duas três. Quatro.", "Duas três. Quatro", "Duas três. Quatro."),
        ("sem fim", "sem", "sem fim"),
        ("The U.S. has it. No.", "has", "The U.S. has it."),
    ],
)
def test_a_sentence_ends_where_a_reader_ends_it(text: str, span: str, sentence: str) -> None:
    start = text.index(span)
    assert text[slice(*sentence_around(text, start, start + len(span)))] == sentence


@pytest.mark.parametrize("seed", range(30))
def test_a_sentence_holds_its_span_whatever_the_text(seed: int) -> None:
    draw = random.Random(seed)
    pieces = [*CORPUS, "x" * 900, "。", "...", "\n\n", "Sr. A. ", "?!", "  ", "\u00a0"]
    text = "".join(draw.choice(pieces) for _ in range(draw.randint(1, 30)))
    for _ in range(30):
        start = draw.randrange(len(text))
        end = draw.randint(start + 1, min(len(text), start + 80))
        if text[start:end] != text[start:end].strip():
            continue
        first, last = sentence_around(text, start, end)
        assert 0 <= first <= start < end <= last <= len(text)
        assert text[first:last] == text[first:last].strip()
        assert last - first < end - start + 1_300


def test_the_probabilities_are_the_networks(answerer: QuestionAnswerer) -> None:
    tokenizer, network = tokenizer_once(), small_network()
    for row in ROWS[:3]:
        text = row["context"][:120]
        answers = answerer.answer(row["question"], text, 3, explain=True)
        assert [a._replace(tokens=()) for a in answers] == list(
            answerer.answer(row["question"], text, 3)
        )
        encoding = tokenizer(row["question"], text, return_offsets_mapping=True)
        ids = torch.tensor([encoding["input_ids"]])
        assert ids.shape[1] <= MAX_LENGTH
        owners = encoding.sequence_ids(0)
        globals_ = torch.zeros_like(ids)
        globals_[0, : max(n for n, owner in enumerate(owners) if owner == 0) + 1] = 1
        with torch.no_grad():
            logits = network(ids, global_attention_mask=globals_)
        starts, ends = (x[0].softmax(-1).tolist() for x in (logits[0], logits[1]))
        theirs = {
            tuple(encoding["offset_mapping"][n]): (starts[n], ends[n])
            for n, owner in enumerate(owners)
            if owner == 1
        }
        for answer in answers:
            assert answer.tokens
            for token in answer.tokens:
                assert token.text == text[token.start_char : token.end_char]
                expected = theirs[token.start_char, token.end_char]
                found = (token.start_probability, token.end_probability)
                assert found == pytest.approx(expected, abs=1e-4)


def test_every_answer_of_a_long_document_is_explained(answerer: QuestionAnswerer) -> None:
    text = " ".join(CORPUS * 12)
    assert DOC_STRIDE < MAX_LENGTH < 100
    for answers in (
        answerer.answer(ROWS[0]["question"], text, 8, screen=5, explain=True),
        answerer.answer_documents(ROWS[0]["question"], [text, "", text[:99]], 8, explain=True),
    ):
        for answer in answers:
            sentence = answer.sentence
            assert sentence.start_char <= answer.start_char < answer.end_char <= sentence.end_char
            inside = [t for t in answer.tokens if t.end_char > answer.start_char]
            assert inside
            assert inside[0].start_char <= answer.start_char
            for side in ("start_probability", "end_probability"):
                assert 0 < sum(getattr(token, side) for token in answer.tokens) <= 1 + 1e-5


def placed(text: str, start: int, end: int, confidence: float, document: int = 0) -> PlacedAnswer:
    first, last = sentence_around(text, start, end)
    return PlacedAnswer(
        *(text[start:end], start, end, 1.0, confidence, Snippet(text, 0, len(text)), document),
        source=f"{document}<i>.txt",
        place="line 1",
        sentence=Snippet(text[first:last], first, last),
    )


def asked(question: str, texts: list[str], found: list[PlacedAnswer]) -> Answers:
    parts = {number: Snippet(text, 0, len(text)) for number, text in enumerate(texts)}
    return Answers(question, tuple(found), bool(found), 0.1, 0.0, texts=parts)


@pytest.mark.parametrize("seed", range(12))
def test_a_page_shows_documents_word_for_word_and_the_way_to_each_answer(seed: int) -> None:
    draw = random.Random(seed)
    texts = [f" {HOSTILE}\n\n".join(draw.sample(CORPUS, 3)) for _ in range(draw.randint(1, 3))]
    answered = []
    for number in range(draw.randint(1, 3)):
        found = []
        for _ in range(draw.randint(0, 6)):  # they overlap, nest and repeat
            document = draw.randrange(len(texts))
            start = draw.randrange(len(texts[document]) - 5)
            end = start + draw.randint(1, 40)
            found.append(placed(texts[document], start, end, draw.random(), document))
        answered.append(asked(f"{number} {HOSTILE}?", texts, found))
    page = answers_page(answered)
    tree = html.fromstring(page)
    assert not tree.xpath("//script | //img | //link | //iframe | //*[@src] | //*[@onclick]")
    assert not re.search(r"https?:|url\(|@import", page)
    names = tree.xpath("//@id")
    assert len(names) == len(set(names))
    links = list(tree.xpath("//a/@href"))
    assert sorted(links) == sorted(f"#{name}" for name in names)
    shown = []
    for section in tree.xpath("//div[@class='text']"):
        for anchor in section.xpath("a"):
            anchor.text = None
        shown.append(section.text_content())
    told = [text.replace("\ud83d", "?") for text in texts]
    assert shown == told
    for number, answers in enumerate(answered, start=1):
        entries = tree.xpath(f"//li[starts-with(@id, 'answer-{number}-')]")
        wanted = [answer.text.replace("\ud83d", "?") for answer in answers]
        assert [entry.xpath("a/b")[0].text_content() for entry in entries] == wanted


def test_marks_are_the_answers_and_the_surest_are_the_strongest() -> None:
    text = "Um rio nasce em Espanha e acaba no Porto."
    spans = [("Espanha", 0.9), ("Espanha e acaba no Porto", 0.1), ("rio", 0.0)]
    found = [placed(text, text.index(s), text.index(s) + len(s), c) for s, c in spans]
    tree = html.fromstring(asked("Onde?", [text], found).to_html())
    marks = [(m.text, float(m.get("style")[4:])) for m in tree.xpath("//mark")]
    assert [text for text, _ in marks] == ["rio", "Espanha", " e acaba no Porto"]
    strengths = dict(marks)
    assert strengths["Espanha"] > strengths[" e acaba no Porto"] > strengths["rio"] > 0
    assert html.fromstring(asked("Onde?", [text], []).to_html()).xpath("//div[@class='text']")


@pytest.fixture(scope="module")
def written(answerer: QuestionAnswerer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of a long document."""
    path = tmp_path_factory.mktemp("page") / "answers.html"
    document = answerer.open(text_document("\n\n".join(CORPUS * 30) + HOSTILE, "a.txt"))
    answers = document.ask(ROWS[0]["question"], 5, explain=True)
    path.write_text(answers.to_html(), "utf-8")
    return path


def test_one_click_leads_from_an_answer_to_its_place_and_back(written: Path, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(written.as_uri())
    page.locator("#answer-1-3 a").click()
    place = page.locator("#place-1-3")
    page.wait_for_url(re.compile("#place-1-3$"))
    assert place.evaluate("e => e.matches(':target')")
    box = place.bounding_box()
    assert box is not None
    assert 0 <= box["y"] <= page.viewport_size["height"]  # type: ignore[index]
    place.click()
    page.wait_for_url(re.compile("#answer-1-3$"))
    page.goto(written.as_uri())
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("#place-1-1$"))
    page.locator("#answer-1-1 summary").click()
    assert page.locator("#answer-1-1 .heat span").count() > 2
    assert {url.partition("#")[0] for url in asked} == {written.as_uri()}


def test_a_page_fits_a_phone(written: Path, browser: Browser) -> None:
    with opened(browser, viewport={"width": 360, "height": 640}) as phone:
        phone.goto(written.as_uri())
        assert phone.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.front_door
def test_the_command_writes_a_page_of_all_questions(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    from qa_lightning.cli import main

    checkpoint = write_checkpoint(tmp_path / "best.ckpt")
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(f"{name}: {ROWS[0]['context']}", "utf-8")
    documents = ["--document", str(tmp_path / "a.txt"), str(tmp_path / "b.txt")]
    options = ["--checkpoint", str(checkpoint), "--device", "cpu", "--question", "Quem?", "Onde?"]
    out = tmp_path / "pages" / "answers.html"
    main(["answer", *options, *documents, "--json", "--explain", "--html", str(out)])
    told = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    page = html.fromstring(out.read_text("utf-8"))
    best = [entry["n_best"][0] for entry in told]
    assert [b.text_content() for b in page.xpath("//li/a/b")] == [each["text"] for each in best]
    assert all(each["document"] == each["source"] for each in best if "source" in each)
    assert all(each["sentence"]["text"] and each["tokens"] for each in best)
    with pytest.raises(SystemExit):
        main(["answer", *options, *documents, "--html", str(tmp_path)])
