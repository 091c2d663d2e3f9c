"""The fixture `browser`, and the pages that are files."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from browsing import REQUIRED, chromium, opened
from running import Row, run, write_rows

CONTEXT = "Helena Bastos nasceu em Évora & casou em <b>1987</b>."


@pytest.fixture(scope="module")
def audit_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of an audit of four answers: two stand, one is moved, one is nowhere."""
    golds = [("Évora", 24), ("1987", 44), ("Helena Bastos", 30), ("<img src=x onerror=x()>", 0)]
    rows: list[Row] = [
        {
            "id": f"q{number}",
            "title": "t",
            "context": CONTEXT,
            "question": f"Pergunta <i>{number}</i>?",
            "answers": {"text": [text], "answer_start": [start]},
        }
        for number, (text, start) in enumerate(golds)
    ]
    folder = tmp_path_factory.mktemp("audit")
    run("audit", write_rows(folder / "data.json", rows), "--html", folder / "audit.html")
    return folder / "audit.html"


def test_the_audits_page_filters_and_searches(audit_page: Path, page: Page) -> None:
    page.goto(audit_page.as_uri())
    articles = page.locator("article:visible")
    expect(articles).to_have_count(4)
    assert page.locator("mark").all_inner_texts()[:2] == ["Évora", "1987"]
    page.get_by_role("button", name="unaligned 1").click()
    expect(articles).to_have_count(1)
    expect(articles).to_contain_text("<img src=x")
    page.get_by_role("button", name="all", exact=True).press("Enter")
    page.get_by_role("searchbox").fill("pergunta <i>1")
    expect(page.locator("#count")).to_have_text("1 shown")
    expect(articles.locator("mark")).to_have_text("1987")


def test_the_audits_page_fits_a_phone(audit_page: Path, browser: Browser) -> None:
    with opened(browser, viewport={"width": 360, "height": 640}) as phone:
        phone.goto(audit_page.as_uri())
        assert phone.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_page_that_asks_another_machine_is_told(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "x.html").write_text('<img src="http://192.0.2.1/x.png">', encoding="utf-8")

    def look() -> None:
        with opened(browser) as page:
            page.goto((tmp_path / "x.html").as_uri(), wait_until="commit")
            page.wait_for_selector("img", state="attached")

    with pytest.raises(AssertionError, match=r"192\.0\.2\.1"):
        look()


def test_no_browser_is_a_skip_or_where_one_is_required_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install"):
        chromium()
    monkeypatch.setenv(REQUIRED, "required")
    with pytest.raises(pytest.fail.Exception, match="apt-get install"):
        chromium()
