"""The page in a browser: open, ask, look, correct."""

import json
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

import qa_lightning.app.session
from app_support import Finder, ask, open_text, served, visit
from browsing import opened
from documents_support import write_pdf
from qa_lightning import QuestionAnswerer
from qa_lightning.app.samples import SAMPLES
from qa_lightning.app.words import WORDS
from qa_lightning.documents import Document
from qa_lightning.examples import load_examples

TEXT = "Helena 😀 nasceu em Évora.\nCasou em Évora com Rui.\n\nMorreu longe de Évora, em 1987."
PIECES = [
    "Évora",
    "😀",
    "Rui 𝔸",
    "em",
    "1987",
    "  ",
    "\n",
    "a\u0301",
    "<b>x</b>",
    "&amp;",
    "\r\n",
    "日本",
]
# Select the characters of a column as a hand does: from one place of its text nodes to another.
SELECT = """([column, start, end]) => {
  const nodes = document.createTreeWalker(column, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  for (let seen = 0; nodes.nextNode(); ) {
    const all = [...nodes.currentNode.data], after = seen + all.length;
    const unit = (place) => all.slice(0, place - seen).join("").length;
    if (seen <= start && start < after) range.setStart(nodes.currentNode, unit(start));
    if (seen < end && end <= after) range.setEnd(nodes.currentNode, unit(end));
    seen = after;
  }
  getSelection().removeAllRanges();
  getSelection().addRange(range);
}"""


@pytest.fixture(scope="module")
def corrections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page") / "corrections.json"


@pytest.fixture(scope="module")
def address(browser: Browser, corrections: Path) -> Iterator[str]:
    with served(Finder(), corrections) as place:
        yield place


@pytest.fixture
def app(page: Page, address: str, corrections: Path) -> Page:
    corrections.unlink(missing_ok=True)
    return visit(page, address)


def upload(app: Page, *files: Path) -> None:
    app.locator("input[type=file]").set_input_files(files)
    for file in files:
        app.locator(".qa-document h3", has_text=file.name).wait_for()


def wait_until_seen(mark: Locator) -> None:
    """Wait until a mark lies in the part of its document that is scrolled to."""
    mark.page.wait_for_function(
        """(node) => {
          const one = node.getBoundingClientRect();
          const all = node.closest(".qa-scroller").getBoundingClientRect();
          return one.top >= all.top && one.bottom <= all.bottom;
        }""",
        arg=mark.element_handle(),
        timeout=5_000,
    )


def test_an_answer_is_marked_on_its_page_and_jumped_to(app: Page, tmp_path: Path) -> None:
    pages = [[f"{'Palavras antes. ' * 300} Achou o número {n}. Fim {n}."] for n in range(1, 7)]
    upload(app, write_pdf(tmp_path / "relatório.pdf", pages))
    ask(app, 'Onde está "número 5"? E "Fim 2"?')
    answers = app.locator(".qa-go")
    expect(answers).to_have_count(2)
    expect(answers.nth(0)).to_contain_text("page 5")
    expect(answers.nth(1)).to_contain_text("page 2")
    first, second = (app.locator(f"mark[data-rank='{rank}']") for rank in (1, 2))
    for mark, number in ((first, "5"), (second, "2")):
        leaf = mark.locator("xpath=ancestor::div[@data-page]")
        expect(leaf).to_have_attribute("data-page", number)
    wait_until_seen(first)
    answers.nth(1).click()
    wait_until_seen(second)
    expect(second).to_be_focused()
    expect(second).to_have_class("qa-chosen")
    expect(answers.nth(1)).to_have_attribute("aria-current", "true")


def test_a_question_waits_for_the_document_that_is_being_opened(
    app: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked at once after it was opened, again and again; the last question's answer stays."""
    read = qa_lightning.app.session.text_document

    def slowly(text: str, name: str) -> Document:
        time.sleep(0.2)
        return read(text, name)

    monkeypatch.setattr(qa_lightning.app.session, "text_document", slowly)
    for number in range(6):
        open_text(app, f"Esta é a casa {number} de Rui.")
        ask(app, f'Que "casa {number}"?')
        expect(app.locator(".qa-answers")).to_contain_text(f"casa {number}")
        expect(app.locator(".qa-told")).to_have_count(0)
        expect(app.locator(".qa-document")).to_have_count(number + 1)


def test_answers_that_overlap_are_all_marked(app: Page) -> None:
    open_text(app, TEXT)
    ask(app, '"nasceu em Évora" ou "em Évora com" ou "em Évora"?')
    expect(app.locator(".qa-go")).to_have_count(4)
    marked = [
        "".join(app.locator(f"mark[data-ranks~='{rank}']").all_inner_texts())
        for rank in range(1, 5)
    ]
    assert marked == ["nasceu em Évora", "em Évora com", "em Évora", "em Évora"]
    assert app.locator(".qa-text").text_content() == TEXT


def test_a_selection_is_kept_with_its_exact_place(
    app: Page, corrections: Path, tmp_path: Path
) -> None:
    rng = random.Random(5)
    text = "x" + "".join(rng.choices(PIECES, k=120)) + "y"
    (tmp_path / "x.txt").write_text(text, encoding="utf-8", newline="")
    upload(app, tmp_path / "x.txt")
    column = app.locator(".qa-text").element_handle()
    asked = {}
    for number in range(12):
        ask(app, f'Pergunta {number}: "em" e "Évora"?')
        start = rng.randrange(len(text) - 10)
        end = start + rng.randint(1, 9)
        if not text[start:end].strip():
            start, end = 0, 1
        app.evaluate(SELECT, [column, start, end])
        app.get_by_role("button", name="This is the answer").click()
        expect(app.locator(".qa-told")).to_contain_text(f"corrections.json holds {number + 1}")
        gap = len(text[start:end]) - len(text[start:end].lstrip())
        asked[f'Pergunta {number}: "em" e "Évora"?'] = (start + gap, text[start:end].strip())
    rows = load_examples(corrections).to_list()
    assert {row["context"] for row in rows} == {text}
    kept = {r["question"]: (r["answers"]["answer_start"][0], r["answers"]["text"][0]) for r in rows}
    assert kept == asked


def test_a_selection_of_two_documents_is_refused_in_words(app: Page, corrections: Path) -> None:
    open_text(app, TEXT)
    app.locator(".qa-document").wait_for()
    open_text(app, "Outro texto.")
    expect(app.locator(".qa-document")).to_have_count(2)
    ask(app, '"Évora"?')
    both = "(all) => getSelection().setBaseAndExtent(all, 0, all, all.childNodes.length)"
    app.locator(".qa-documents").evaluate(both)
    expect(app.locator(".qa-selection p")).to_have_text(WORDS["en"]["one_document"])
    expect(app.locator(".qa-selection p")).to_be_visible()
    expect(app.get_by_role("button", name="This is the answer")).to_be_hidden()
    app.locator(".qa-block").last.evaluate(both)
    expect(app.get_by_role("button", name="This is the answer")).to_be_visible()
    assert not corrections.exists()


def test_no_word_of_the_other_language_is_seen(browser: Browser, tmp_path: Path) -> None:
    """Also not of Gradio's own, which asks the browser, and not where its connection is lost."""
    with served(Finder(), tmp_path / "c.json") as address, opened(browser, locale="en-US") as page:
        visit(page, address).get_by_label("Português").click()
        page.get_by_role("button", name=WORDS["pt"]["drop"]).wait_for()
        (tmp_path / "x.pdf").write_bytes(
            write_pdf(tmp_path / "y.pdf", [["Rui mora em Évora."], []]).read_bytes()
        )
        upload(page, tmp_path / "x.pdf")
        page.get_by_role("button", name=WORDS["pt"]["drop"]).wait_for()  # again
        page.get_by_label("Pergunta", exact=True).fill("Quem?")
        page.get_by_role("button", name="Perguntar", exact=True).click()
        page.locator(".qa-question").wait_for()
        expect(page.locator(".qa-begin")).to_be_hidden()
        page.wait_for_timeout(500)  # what says that it works has gone
        known = [re.escape(text) for text in WORDS["pt"].values()]
        known = [re.sub(r"\\{\w+\\}", ".*", text) for text in known]
        ours = [*known, "English", "Português", *(re.escape(one.question) for one in SAMPLES)]
        ours += ["Quem[?].*", r"Perguntas anteriores \(1\)", r"Sem resposta \(90 %\)", "×", "Rui.*"]
        ours += [r"x\.pdf", "10 % · página 1", "página 1", "Idioma · Language"]
        for line in page.inner_text("body").splitlines():
            text = line.strip()
            assert not text or any(re.fullmatch(one, text) for one in ours), text
        page.route("**/*", lambda route: route.abort())
        page.get_by_role("button", name="Perguntar", exact=True).click()
        expect(page.locator(".toast-message-text").first).to_have_text(WORDS["pt"]["gradio"])
        box = page.locator(".toast-body").first.bounding_box() or {}
        asking = page.get_by_role("button", name="Perguntar", exact=True).bounding_box() or {}
        assert box["y"] > asking["y"] + asking["height"]


def test_keys_alone_ask_choose_and_correct(app: Page, corrections: Path) -> None:
    open_text(app, TEXT)
    app.locator(".qa-document").wait_for()
    box = app.get_by_label("Question", exact=True)
    box.fill('Quando, se "Évora"?')
    box.press("Enter")
    answer = app.locator(".qa-go").nth(1)
    answer.focus()
    answer.press("Enter")
    expect(app.locator("mark.qa-chosen")).to_be_focused()
    # To the next words, and one more: "com Rui".
    for keys in ("ArrowRight", "ArrowRight", "Shift+ArrowRight"):
        app.keyboard.press(keys)
    expect(app.locator(".qa-selection q")).to_have_text("com Rui")
    button = app.get_by_role("button", name="This is the answer")
    button.focus()
    button.press("Enter")
    expect(app.locator(".qa-told")).to_contain_text("“com Rui”")
    (row,) = load_examples(corrections).to_list()
    assert row["answers"] == {"text": ["com Rui"], "answer_start": [TEXT.index("com Rui")]}


def test_whatever_has_the_focus_shows_it(app: Page) -> None:
    open_text(app, TEXT)
    ask(app, '"Évora"?')
    app.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(24):
        app.keyboard.press("Tab")
        name, is_shown = app.evaluate(
            """() => {
              const node = document.activeElement;
              const shows = (one) => one && getComputedStyle(one).outlineStyle === "solid";
              return [node.className, node === document.body || shows(node)
                || shows(node.closest("label"))];
            }"""
        )
        assert is_shown, name
        reached.append(name)
    for name in ("qa-go", "qa-right", "qa-refuse", "qa-drop", "qa-scroller"):
        assert name in reached


def test_no_answer_is_shown_with_what_it_would_have_been(app: Page, corrections: Path) -> None:
    open_text(app, TEXT)
    ask(app, "Quem escreveu?")
    expect(app.locator(".qa-none")).to_have_text("No answer (90 %)")
    expect(app.locator(".qa-hint").first).to_have_text("The nearest would have been:")
    expect(app.locator(".qa-words")).to_have_text("Helena")
    app.get_by_role("button", name="No answer here").click()
    expect(app.locator(".qa-told")).to_contain_text("does not answer it")
    ask(app, 'Onde fica "Évora"?')
    app.locator(".qa-right").nth(2).click()
    expect(app.locator(".qa-told")).to_contain_text("holds 2")
    none, some = load_examples(corrections).to_list()
    assert none["answers"]["text"] == []
    assert some["answers"]["answer_start"] == [TEXT.rindex("Évora")]


def test_mistakes_are_told_in_words_and_the_page_goes_on(app: Page, tmp_path: Path) -> None:
    told = app.locator(".qa-told")
    app.get_by_role("button", name="Ask").click()
    expect(told).to_contain_text("Type a question first")
    app.get_by_label("Question", exact=True).fill('"x"?')
    app.get_by_role("button", name="Ask").click()
    expect(told).to_contain_text("Open a document first")
    open_text(app, "  \n ")
    expect(told).to_contain_text("no text to open")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7\n" + bytes(range(256)))
    (tmp_path / "scan.pdf").write_bytes(write_pdf(tmp_path / "s.pdf", [[], []]).read_bytes())
    files = [tmp_path / "broken.pdf", tmp_path / "scan.pdf"]
    app.get_by_role("tab", name="Files").click()
    app.locator("input[type=file]").set_input_files(files)
    expect(told).to_have_count(2)
    expect(told.nth(0)).to_contain_text("broken.pdf is a damaged PDF, or none.")
    expect(told.nth(1)).to_contain_text("pictures")
    open_text(app, TEXT)
    ask(app, '"Rui"?')
    expect(app.locator("mark")).to_have_text("Rui")


def test_an_encrypted_pdf_asks_for_its_password(app: Page, tmp_path: Path) -> None:
    from reportlab.lib.pdfencrypt import StandardEncryption

    lock = StandardEncryption("abre-te", canPrint=0)
    file = write_pdf(tmp_path / "x.pdf", [["Segredo em Évora."]], encrypt=lock)
    app.locator("input[type=file]").set_input_files(file)
    box = app.get_by_label("Password of x.pdf")
    for password, sentence in (("errada", "not the password of x.pdf"), ("abre-te", "")):
        box.fill(password)
        box.press("Enter")
        if sentence:
            expect(app.locator(".qa-told")).to_contain_text(sentence)
    expect(app.locator(".qa-block")).to_have_text("Segredo em Évora.")
    expect(box).to_be_hidden()


def test_a_very_long_document_is_scrolled_to_its_last_line(app: Page, tmp_path: Path) -> None:
    lines = [f"Linha {number} sobre nada em especial." for number in range(60_000)]
    file = tmp_path / "longo.txt"
    file.write_text("\n".join([*lines, "A chave está aqui."]), encoding="utf-8")
    upload(app, file)
    ask(app, 'Onde está "A chave"?')
    mark = app.locator("mark")
    expect(mark).to_have_text("A chave")
    wait_until_seen(mark)
    expect(app.locator(".qa-go")).to_contain_text("line 60001")


def test_documents_stand_side_by_side_and_answers_come_from_all(app: Page, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.md").write_text(f"# Título\n\nO {name} vive em Évora.", "utf-8")
    upload(app, *(tmp_path / f"{name}.md" for name in "abc"))
    ask(app, '"Évora"?')
    expect(app.locator(".qa-where")).to_contain_text(["a.md", "b.md", "c.md"])
    boxes = [one.bounding_box() or {} for one in app.locator(".qa-document").all()]
    assert len({box["y"] for box in boxes}) == 1
    assert boxes[0]["x"] < boxes[1]["x"] < boxes[2]["x"]
    app.get_by_role("button", name="Close: b.md").click()
    expect(app.locator(".qa-document")).to_have_count(2)
    expect(app.locator("mark")).to_have_count(0)
    ask(app, 'De novo "Évora"?')
    expect(app.locator(".qa-where")).to_contain_text(["a.md", "c.md"])


def test_what_was_asked_is_shown_again_and_taken_along(app: Page, tmp_path: Path) -> None:
    open_text(app, TEXT)
    ask(app, '"Rui", que vive em "Évora"?')
    ask(app, "Quem, afinal?")
    app.locator(".qa-history summary").click()
    app.get_by_role("button", name='"Rui", que vive').click()
    expect(app.locator(".qa-words").first).to_have_text("Rui")
    for kind in ("CSV", "JSON"):
        with app.expect_download() as taken:
            app.get_by_role("button", name=f"Download {kind}").click()
        taken.value.save_as(tmp_path / kind)
    lines = (tmp_path / "CSV").read_text(encoding="utf-8-sig").splitlines()
    assert lines[0].startswith("question,rank,answer,confidence,document,place,start_char")
    assert lines[1].endswith(f"pasted text,line 2,{TEXT.index('Rui')},{TEXT.index('Rui') + 3},True")
    assert lines[-1].startswith('"Quem, afinal?",1,Helena,0.1,')
    assert lines[-1].endswith(",False")
    first, second = json.loads((tmp_path / "JSON").read_text(encoding="utf-8"))
    assert first["answer"] == "Rui"
    assert first["n_best"][0]["place"] == "line 2"
    assert second["is_answerable"] is False


def test_it_speaks_the_browsers_language_and_switches(browser: Browser, address: str) -> None:
    with opened(browser, locale="pt-BR") as page:
        visit(page, address)
        page.get_by_role("button", name="Perguntar", exact=True).click()
        expect(page.locator(".qa-told")).to_have_text("Escreva primeiro uma pergunta.")
        page.get_by_role("button", name="Quem fundou a Companhia Fintivo?").click()
        expect(page.locator(".qa-none")).to_have_text("Sem resposta (90 %)")
        expect(page.locator(".qa-refuse")).to_have_text("Sem resposta aqui")
        page.get_by_label("English").click()
        expect(page.locator(".qa-none")).to_have_text("No answer (90 %)")
        expect(page.get_by_role("button", name="Ask", exact=True)).to_be_visible()


def test_a_phone_shows_all_of_it(browser: Browser, address: str) -> None:
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    with opened(browser, **phone) as page:
        visit(page, address)
        page.get_by_role("button", name="Quem fundou a Companhia Fintivo?").click()
        page.locator("mark").wait_for()
        ask(page, '"Ponte Jarmeiral" ou "Companhia Fintivo"?')
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        answers, document = (page.locator(f".qa-{name}") for name in ("answers", "document"))
        above, below = answers.bounding_box() or {}, document.bounding_box() or {}
        assert above["y"] + above["height"] <= below["y"]
        page.locator(".qa-go").nth(1).tap()
        expect(page.locator("mark.qa-chosen")).to_be_in_viewport()


def test_a_real_model_answers_on_the_page(
    page: Page, small_files: dict[str, Path], tmp_path: Path
) -> None:
    answerer = QuestionAnswerer.from_checkpoint(small_files["model"])
    (wanted,) = answerer.answer_documents(SAMPLES[2].question, [SAMPLES[2].text], 1)
    with served(answerer, tmp_path / "c.json") as place:
        visit(page, place)
        page.get_by_role("button", name=SAMPLES[2].question).click()
        expect(page.locator(".qa-words").first).to_have_text(wanted.text)
        marks = page.locator("mark[data-ranks~='1']").all_text_contents()
        assert "".join(marks) == wanted.text


def test_nothing_in_a_document_or_a_question_is_run(app: Page, tmp_path: Path) -> None:
    bad = "<img src=x onerror='throw Error(1)'><script>throw Error(2)</script>${props} {{value}}"
    file = tmp_path / "x.txt"
    file.write_text(f"{bad} Évora {bad}", encoding="utf-8")
    upload(app, file)
    ask(app, f'{bad} "Évora"')
    expect(app.locator(".qa-block")).to_have_text(f"{bad} Évora {bad}")
    app.locator(".qa-right").click()
    expect(app.locator(".qa-told")).to_contain_text("Évora")
    assert app.locator(".qa-reader img, .qa-reader script").count() == 0
