"""The page of a run: made of its files alone, looked at in a browser, advice by stated rules."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from browsing import opened
from comparison_support import questions, write_run
from qa_lightning.reports.run.answers import MOST_ANSWERS
from qa_lightning.reports.run.page import _findings
from qa_lightning.reports.run.rules import RULES, advice
from running import fail, read_json, run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Json = dict[str, Any]
COUNT = 400


class Case:
    """Hold a made-up run that a rule looks at; nothing is wrong with it before it is changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked = questions(COUNT)
        names = list(self.asked)
        self.texts = {name: f"gold {place}" for place, name in enumerate(names)}
        self.wrong = names[:40]  # of a kind that no rule has a word for
        self.texts |= dict.fromkeys(self.wrong, "elsewhere")
        self.n_best: dict[str, list[Json]] = {}
        self.scores: Json = {"f1": 90.0, "f1_low": 87.0, "f1_high": 93.0, "calibration_error": 0.02}
        self.config: Json = {"evaluation": {"max_answer_length": 30}}
        self.audit: Json = {"answers": 1000, "examples": 1000, "dropped": 0, "policy": "repair"}
        self.history: dict[str, list[float]] = {"train/loss": [3.0, 2.0, 1.5, 1.0]}
        self.ceiling: Json = {"f1": 99.0, "exact_match": 98.0}

    def told(self) -> set[str]:
        """Write the run's files, and return the names of the rules that speak."""
        write_run(self.folder, self.asked, self.texts, config=self.config)
        answers = self.folder / "answers" / "val"
        scores = {**read_json(answers / "scores.json"), **self.scores}
        (answers / "scores.json").write_text(json.dumps(scores), encoding="utf-8")
        n_best = read_json(answers / "nbest_predictions.json") | self.n_best
        (answers / "nbest_predictions.json").write_text(json.dumps(n_best), encoding="utf-8")
        reports = self.folder / "reports"
        made = {**self.config, "provenance": {"label_audit": self.audit}}
        (reports / "fit.json").write_text(json.dumps(made), encoding="utf-8")
        for stage in ("train", "val"):
            (reports / stage).mkdir(exist_ok=True)
            rows = [
                f"{10 * place},{key},{value}"
                for key, values in self.history.items()
                if key.startswith(stage)
                for place, value in enumerate(values)
            ]
            (reports / stage / "history.csv").write_text("\n".join(["step,name,value", *rows]))
        (reports / "val" / "ceiling.json").write_text(json.dumps(self.ceiling), encoding="utf-8")
        return {entry.name for entry in advice(_findings(self.folder, None))}


def labels(case: Case) -> None:
    for name in case.wrong[:10]:
        case.asked[name]["spans"] = [[None, None, "unaligned", 0.0]]


def long_answers(case: Case) -> None:
    case.config["evaluation"]["max_answer_length"] = 5
    for name in case.wrong[:10]:
        case.asked[name]["golds"] = ["six words are more than five"]


def windows(case: Case) -> None:
    for name in case.wrong[:10]:
        case.asked[name]["windows"] = [[3, 40], [0, 5]]


def choice(case: Case) -> None:
    for name in case.wrong[:10]:
        case.n_best[name] = [{"text": "elsewhere"}, {"text": case.asked[name]["golds"][0]}]


def not_learned(case: Case) -> None:
    for name in list(case.asked)[40:300]:
        case.texts[name] = "elsewhere"
    case.scores["f1"] = 25.0


def labels_of_a_part(case: Case) -> None:
    for name in list(case.asked)[50:90]:
        case.asked[name]["parts"]["question_word"] = [0, "why"]
    for name in list(case.asked)[50:70]:
        case.asked[name]["spans"] = [[None, None, "unaligned", 0.0]]


def ends(case: Case) -> None:
    for name in case.wrong[:10]:
        case.texts[name] = case.asked[name]["golds"][0] + " and more"


def silence(case: Case) -> None:
    for name in case.wrong[:10]:
        case.texts[name] = ""


def invention(case: Case) -> None:
    for name in case.wrong[:10]:
        case.asked[name] |= {"golds": [], "spans": []}


def weak_parts(case: Case) -> None:
    part = {"name": "question_word", "value": "why", "count": 20, "f1": 60.0, "exact_match": 5.0}
    case.scores["slices"] = [part]


def too_short(case: Case) -> None:
    case.history["val/f1"] = [50.0, 60.0, 70.0]


def too_long(case: Case) -> None:
    case.history |= {"val/f1": [50.0, 60.0, 59.0], "val/loss": [2.0, 1.0, 1.5]}


def no_learning(case: Case) -> None:
    case.history["train/loss"] = [3.0, 2.9, 3.1, 3.0]


def padding(case: Case) -> None:
    case.history["train/padding_share"] = [0.4, 0.5]


def left_out(case: Case) -> None:
    case.audit["dropped"] = 100


def confidence(case: Case) -> None:
    case.scores["calibration_error"] = 0.2


def few_questions(case: Case) -> None:
    case.asked = {name: case.asked[name] for name in list(case.asked)[:199]}
    case.texts = {name: case.texts[name] for name in case.asked}


def ceiling(case: Case) -> None:
    case.ceiling["f1"] = 92.0


CASES: dict[str, Callable[[Case], None]] = {
    "labels": labels,
    "long answers": long_answers,
    "windows": windows,
    "choice": choice,
    "labels of a part": labels_of_a_part,
    "not learned": not_learned,
    "ends": ends,
    "silence": silence,
    "invention": invention,
    "weak parts": weak_parts,
    "too short": too_short,
    "too long": too_long,
    "no learning": no_learning,
    "padding": padding,
    "left out": left_out,
    "confidence": confidence,
    "few questions": few_questions,
    "ceiling": ceiling,
}


def test_a_run_without_faults_is_left_alone_and_every_rule_is_tested(tmp_path: Path) -> None:
    assert Case(tmp_path).told() == set()
    assert set(CASES) == {rule.name for rule in RULES}


@pytest.mark.parametrize("name", CASES)
def test_each_rule_says_its_own(name: str, tmp_path: Path) -> None:
    case = Case(tmp_path)
    CASES[name](case)
    assert case.told() == {name}
    page = page_of(tmp_path)
    assert page.count("Rule “") == 1
    assert f"Rule “{name}”" in page


def page_of(folder: Path) -> str:
    run("report", folder)
    return (folder / "reports" / "report.html").read_text(encoding="utf-8")


@pytest.mark.front_door
def test_a_training_ends_with_its_page_and_the_command_writes_the_same(
    demo_run: Path, tmp_path: Path
) -> None:
    file = demo_run / "reports" / "report.html"
    written = file.read_text(encoding="utf-8")
    run("report", demo_run, "--output", tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == written
    scores = read_json(demo_run / "answers" / "val" / "scores.json")
    for text in (
        f"{scores['f1']:.1f}",
        "best in reach",
        "24 questions in",
        "step 90",
        "GiB at most",
    ):
        assert text in written, text
    for heading in ("What to try next", "Training", "Parts of the data", "Confidence", "Answers"):
        assert f">{heading}</h2>" in written
    assert len(written.encode()) < 5_000_000
    addresses = re.findall(r"https?://[^\"' <]+", written)
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}


@pytest.mark.front_door
def test_the_page_is_looked_at(demo_run: Path, page: "Page") -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto((demo_run / "reports" / "report.html").as_uri())
    kept = read_json(demo_run / "answers" / "val" / "questions.json")
    texts = read_json(demo_run / "answers" / "val" / "predictions.json")
    right = [name for name, record in kept.items() if record["exact_match"] > 0]
    count = page.locator("#count")
    assert count.inner_text() == f"{len(kept)} of {len(kept)} answers"
    page.select_option("#f-outcome", "right")
    assert count.inner_text() == f"{len(right)} of {len(kept)} answers"
    page.select_option("#f-outcome", "")
    name = next(iter(kept))
    page.fill("#f-text", name)
    assert page.locator("article.answer").count() == 1
    shown = page.locator("article.answer")
    assert shown.locator("h3").inner_text() == kept[name]["question"]
    given = "".join(shown.locator("mark.given").all_inner_texts())
    assert given == texts[name]
    gold = "".join(shown.locator("mark.gold").all_inner_texts())
    assert gold == kept[name]["golds"][0]
    shown.locator("summary").press("Enter")  # by keyboard alone
    assert shown.locator("ol li").count() == 5
    page.press("#f-text", "Escape")
    page.get_by_role("button", name="Reset").press("Enter")
    page.wait_for_function("document.getElementById('f-text').value === ''")
    page.locator("#after").press("Enter")
    assert page.locator("#place").inner_text() == "page 2 of 2"
    page.fill("#f-low", "0.99")
    sure = sum(record["confidence"] >= 0.99 for record in kept.values())
    assert count.inner_text().startswith(f"{sure} of")
    part = page.locator("#f-part option").nth(1).get_attribute("value")
    page.get_by_role("button", name="Reset").press("Enter")
    page.select_option("#f-part", part)
    assert 0 < int(count.inner_text().split()[0]) <= len(kept)
    assert complaints == []


@pytest.mark.front_door
@pytest.mark.parametrize("width", [360, 768])
def test_no_width_scrolls_sideways_and_pictures_have_words(
    width: int, demo_run: Path, browser: "Browser"
) -> None:
    settings: Json = {"viewport": {"width": width, "height": 800}}
    with opened(browser, **settings) as page:
        page.goto((demo_run / "reports" / "report.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        unnamed = "[...document.querySelectorAll('svg')].filter(s => !s.getAttribute('aria-label'))"
        assert page.evaluate(f"{unnamed}.length") == 0
        fields = "[...document.querySelectorAll('select,input')].filter(f => !f.labels.length)"
        assert page.evaluate(f"{fields}.length") == 0
        page.emulate_media(media="print")
        assert not page.locator(".filters").is_visible()


@pytest.mark.front_door
def test_hostile_texts_stay_texts(tmp_path: Path, page: "Page") -> None:
    evil = "</script><script>document.title='taken'</script><img src=http://evil.example/x> 😀"
    asked = questions(3)
    asked["q1"] |= {"question": evil, "golds": [evil], "excerpts": [[0, evil]], "spans": []}
    asked["q1"] |= {"parts": {evil: [0, evil]}, "given": [0, len(evil)]}
    asked["q2"]["parts"] = {evil: [1, "other"]}
    folder = write_run(tmp_path / "run", asked, dict.fromkeys(asked, evil), config={"a": evil})
    text = page_of(folder)
    assert "<img" not in text
    page.goto((folder / "reports" / "report.html").as_uri())
    assert page.title() == "Run run"
    page.fill("#f-text", "q1")
    assert page.locator(".answer mark.given").inner_text() == evil
    assert page.locator("img").count() == 0


def test_the_first_screen_says_what_was_trained_and_which_validation_is_shown(
    tmp_path: Path, page: "Page"
) -> None:
    case = Case(tmp_path)
    case.config |= {"data": {"data_files": {"train": "/home/me/train.json"}}}
    case.scores |= {"global_step": 21, "risk_coverage": [
        {"coverage": 0.25, "risk": 0.0, "confidence": 0.9},
        {"coverage": 0.61, "risk": 0.1, "confidence": 0.4},
        {"coverage": 1.0, "risk": 0.2, "confidence": 0.1}]}  # fmt: skip
    case.history |= {"val/f1": [50.0, 95.0, 90.0]}
    name = next(iter(case.asked))
    case.asked[name]["windows"] = [[0, 400], [300, 900]]
    case.told()
    made = read_json(tmp_path / "reports" / "fit.json")
    made["provenance"]["splits"] = {"train": {"questions": 1_000, "windows": 1_200}}
    (tmp_path / "reports" / "fit.json").write_text(json.dumps(made), encoding="utf-8")
    page_of(tmp_path)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto((tmp_path / "reports" / "report.html").as_uri())
    told = page.locator("main > p").first
    assert told.inner_text() == (
        "Longformer from scratch trained on 1,000 questions of train.json to step 21. Below: 400 "
        "questions of its validation split."
    )
    better = page.locator("main > .notice").inner_text()
    assert "after step 11 was better (F1 95.0), and best.ckpt is of it" in better
    card = page.locator(".card", has_text="at 90 % precision")
    assert card.locator("b").inner_text() == "61 %"
    assert card.bounding_box()["y"] < 400
    links = page.locator("nav a")
    for place in range(links.count()):
        target = links.nth(place).get_attribute("href")
        assert page.locator(target).is_visible()
    assert "What to try next" in links.all_inner_texts()
    page.fill("#f-text", case.asked[name]["question"])
    shown = page.locator("article.answer", has_text=case.asked[name]["question"]).first
    assert shown.locator("blockquote").inner_text().endswith("other words …")
    case.history["val/f1"] = [50.0, 80.0, 90.0]
    case.told()
    assert "best.ckpt is of it" not in page_of(tmp_path)


def test_right_to_left_texts_run_so_and_paper_is_white(tmp_path: Path, browser: "Browser") -> None:
    asked = questions(2)
    arabic = "ما هي المدينة؟"
    asked["q1"] |= {"question": arabic, "excerpts": [[0, arabic]], "given": [3, 5], "spans": []}
    folder = write_run(tmp_path / "run", asked, {"q0": "gold 0", "q1": "هي"})
    page_of(folder)
    with opened(browser, color_scheme="dark") as page:
        page.goto((folder / "reports" / "report.html").as_uri())
        style = "getComputedStyle(document.querySelector('{}')).{}"
        for name, direction in (("q0", "ltr"), ("q1", "rtl")):
            page.fill("#f-text", name)
            for part in ("h3", "blockquote"):
                found = page.evaluate(style.format(f".answer {part}", "direction"))
                assert found == direction
        assert page.evaluate(style.format("body", "backgroundColor")) != "rgb(255, 255, 255)"
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate(style.format("body", "backgroundColor")) == "rgb(255, 255, 255)"


def test_a_large_evaluation_makes_no_large_page(tmp_path: Path) -> None:
    asked = questions(6_000)
    for record in asked.values():
        record["excerpts"] = [[0, "gold and á very long passage 😀 " * 200]]
    write_run(tmp_path, asked, dict.fromkeys(asked, "x"))
    text = page_of(tmp_path)
    assert len(text.encode()) < 5_000_000
    told = re.search(r"([\d,]+) of 6,000 are on this page", text)
    assert told is not None
    assert 300 < int(told[1].replace(",", "")) <= MOST_ANSWERS


def test_questions_without_an_answer_have_their_threshold(tmp_path: Path) -> None:
    asked = questions(40)
    names = list(asked)
    for name in names[::2]:
        asked[name] |= {"golds": [], "spans": []}
    texts = {name: "" if place % 2 == 0 else f"gold {place}" for place, name in enumerate(names)}
    write_run(tmp_path, asked, texts)
    answers = tmp_path / "answers" / "val"
    odds = {name: (1.0 if place % 2 == 0 else -1.0) for place, name in enumerate(names)}
    (answers / "null_odds.json").write_text(json.dumps(odds), encoding="utf-8")
    scores = {"f1": 100.0, "threshold": 0.25, "risk_coverage": [
        {"coverage": 0.61, "risk": 0.1, "confidence": 0.42},
        {"coverage": 1.0, "risk": 0.3, "confidence": 0.05}]}  # fmt: skip
    (answers / "scores.json").write_text(json.dumps(scores), encoding="utf-8")
    text = page_of(tmp_path)
    assert "Best F1 100.0 at -1.00; used: 0.25." in text
    assert "At 90 % precision it answers 61 % of the questions" in text
    assert "At 95 % precision it can answer none" in text


def test_what_is_no_run_is_told_and_a_training_alone_has_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "no folder" in fail(capsys, "report", tmp_path / "absent")
    assert "answers/test" in fail(capsys, "report", tmp_path)
    assert "folder" in fail(capsys, "report", tmp_path, "--output", tmp_path)
    folder = write_run(tmp_path / "run", questions(3), dict.fromkeys(questions(3), "x"))
    assert "test" in fail(capsys, "report", folder, "--stage", "test")
    (folder / "reports" / "train").mkdir()
    (folder / "reports" / "train" / "history.csv").write_text("step,name,value\n1,a,b\n")
    assert "history.csv" in fail(capsys, "report", folder)
    (folder / "reports" / "train" / "history.csv").unlink()
    shutil.rmtree(folder / "answers")
    assert "no whole evaluation" in page_of(folder)
