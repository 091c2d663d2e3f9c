"""Make the pictures of the page: ``python docs/building/page_pictures.py runs/demo``.

A PDF and a Markdown file of the demo's test split are opened and asked in Chromium, as a visitor
would, at the width of a desk and of a phone.
"""

import argparse
import io
import tempfile
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import Page, sync_playwright
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate

from qa_lightning import QuestionAnswerer
from qa_lightning.app import Corrections, build_page, serve
from qa_lightning.app.samples import SAMPLES
from qa_lightning.demo import demo_rows

FIGURES: Final = Path(__file__).resolve().parents[1] / "figures"
DESK: Final = {"viewport": {"width": 1280, "height": 800}, "locale": "pt-BR"}
PHONE: Final = {
    "viewport": {"width": 390, "height": 844},
    "locale": "en-US",
    "has_touch": True,
    "is_mobile": True,
}
OTHERS: Final = 3  # documents around the one that answers


def documents(folder: Path) -> list[Path]:
    """Write a PDF whose third page answers, and notes that do not."""
    contexts = list(dict.fromkeys(row["context"] for row in demo_rows("test")))
    pages = [*contexts[: OTHERS - 1], SAMPLES[0].text, contexts[OTHERS]]
    style, story = getSampleStyleSheet()["BodyText"], []
    for page in pages:
        story += [*(Paragraph(part, style) for part in page.split("\n")), PageBreak()]
    pdf, notes = folder / "caderno 6.pdf", folder / "notas.md"
    SimpleDocTemplate(str(pdf)).build(story)
    text = "\n\n".join(contexts[OTHERS + 1].split("\n"))
    notes.write_text(f"# Notas\n\n{text}\n", "utf-8")
    return [pdf, notes]


def show(page: Page, files: list[Path]) -> None:
    """Open the files, ask, and wait for the answers."""
    page.locator(".qa-reader").wait_for(state="attached")
    page.locator("input[type=file]").set_input_files(files)
    for file in files:
        page.locator(".qa-document h3", has_text=file.name).wait_for()
    question = page.locator(".qa-asking textarea").first
    question.fill(SAMPLES[0].question)
    question.press("Enter")
    page.locator(".qa-question").wait_for()
    page.locator("mark.qa-chosen").first.wait_for()
    page.wait_for_timeout(1_000)  # what Gradio fades in and out


def keep(page: Page, name: str) -> None:
    """Write a picture with as few colours as it has."""
    picture = Image.open(io.BytesIO(page.screenshot()))
    picture.convert("RGB").quantize(256).save(FIGURES / name, optimize=True)


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", help="a run of configs/demo.yaml")
    parser.add_argument("--browser", default="chromium")
    given = parser.parse_args()
    answerer = QuestionAnswerer.from_checkpoint(given.checkpoint)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        files = documents(Path(folder))
        site = build_page(answerer, Corrections(Path(folder) / "c.json"), name="demo")
        address = serve(site, host="127.0.0.1", port=None)
        options = {"executable_path": given.browser, "args": ["--no-sandbox"]}
        browser = playwright.chromium.launch(**options)
        for name, size in (("page.png", DESK), ("page_phone.png", PHONE)):
            page = browser.new_context(**size).new_page()
            page.goto(address)
            show(page, files if size is DESK else files[:1])
            if size is PHONE:
                top = "document.querySelector('.qa-answers').getBoundingClientRect().top"
                page.evaluate(f"scrollTo(0, scrollY + {top} - 8)")
                page.wait_for_timeout(500)
            keep(page, name)
        browser.close()
        site.close(verbose=False)


if __name__ == "__main__":
    main()
