"""Two runs told apart: intervals and tests beside references, and the command on run folders."""

import itertools
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats

from browsing import opened
from comparison_support import questions, write_run
from qa_lightning.calibration import expected_calibration_error
from qa_lightning.comparison import compare_runs, holm, paired_interval, read_runs
from qa_lightning.comparison.resampling import (
    difference_intervals,
    group_numbers,
    group_sums,
    seed_test,
    swap_tests,
)
from running import fail, read_json, run

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CASES = 150


def likely(share: float) -> tuple[float, float]:
    """Return between which shares of the cases 99 % of such experiments lie."""
    low, high = stats.binom.interval(0.99, CASES, share)
    return low / CASES, high / CASES


def mean(sums: np.ndarray) -> np.ndarray:
    return sums[..., :1] / sums[..., 1:]


def sums_of(values_sq: np.ndarray, groups_q: list[str]) -> np.ndarray:
    columns = np.stack([values_sq, np.ones_like(values_sq)], axis=-1)
    return group_sums(columns, group_numbers(groups_q))


def clustered(generator: np.random.Generator, gain: float) -> tuple[np.ndarray, np.ndarray, list]:
    """Return right or wrong of two systems on contexts that are hard or easy for both."""
    sizes = generator.integers(1, 6, size=60)
    groups = np.repeat(np.arange(60), sizes)
    ease = generator.normal(0, 1.5, size=60)[groups]
    own = generator.normal(0, 0.8, size=(2, 60))[:, groups]  # a context suits one system better
    chance = 1 / (1 + np.exp(-(ease + own + np.array([[0.0], [gain]]))))
    first, second = 100.0 * (generator.random(chance.shape) < chance)
    return first[None], second[None], [str(group) for group in groups]


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    generator = np.random.default_rng(1)
    gains = [clustered(generator, 0.7) for _ in range(4_000)]
    differences = [float((second - first).sum()) for first, second, _ in gains]
    sizes = [len(groups) for _, _, groups in gains]
    truth = sum(differences) / sum(sizes)
    hits = 0
    for first, second, groups in gains[:CASES]:
        (interval,) = difference_intervals(
            sums_of(second, groups), sums_of(first, groups), mean, paired_seeds=True, resamples=400
        )
        hits += interval.low <= truth <= interval.high
    low, high = likely(0.95)
    assert low <= hits / CASES <= high


def test_single_questions_would_promise_too_much() -> None:
    """What clusters are for: drawn question by question, intervals are narrower."""
    generator = np.random.default_rng(2)
    for _ in range(10):
        values = np.repeat(generator.normal(0, 30, size=40), 5)[None]
        groups = ([str(place // 5) for place in range(200)], list(map(str, range(200))))
        (by_context,), (singly,) = (
            difference_intervals(
                sums_of(values, names), sums_of(0 * values, names), mean,
                paired_seeds=True, resamples=300,
            )
            for names in groups
        )  # fmt: skip
        assert by_context.high - by_context.low > 1.6 * (singly.high - singly.low)


def test_the_randomisation_test_keeps_its_size_and_finds_what_is_there() -> None:
    generator = np.random.default_rng(3)
    p_values: dict[float, list[float]] = {0.0: [], 1.0: []}
    for gain in p_values:
        for _ in range(CASES):
            first, second, groups = clustered(generator, gain)
            gaps = (sums_of(second, groups) - sums_of(first, groups))[0, :, :1]
            p = swap_tests(gaps, resamples=500, seed=int(generator.integers(1 << 30)))
            p_values[gain] += p
    nothing = np.array(p_values[0.0])
    for level in (0.05, 0.10):
        low, high = likely(level)
        assert low <= (nothing < level).mean() <= high
    assert (np.array(p_values[1.0]) < 0.05).mean() > 0.8


@pytest.mark.parametrize("seed", range(20))
def test_of_single_questions_the_test_is_mcnemars(seed: int) -> None:
    generator = np.random.default_rng(seed)
    won, lost = generator.integers(0, 7, size=2).tolist()
    gaps = np.array([[100.0]] * won + [[-100.0]] * lost + [[0.0]] * 30)
    (p,) = swap_tests(gaps)
    expected = stats.binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert p == pytest.approx(min(1.0, expected))


@pytest.mark.parametrize("seed", range(5))
def test_random_signs_agree_with_scipys(seed: int) -> None:
    generator = np.random.default_rng(seed)
    first, second = generator.normal(0, 1, 40), generator.normal(0.35, 1, 40)
    (p,) = swap_tests((second - first)[:, None])
    expected = stats.permutation_test(
        (second, first),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        n_resamples=10_000,
        vectorized=True,
        rng=generator,
    ).pvalue
    assert p == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("seed", range(2))
def test_the_interval_agrees_with_scipys_and_with_draws_one_by_one(seed: int) -> None:
    generator = np.random.default_rng(seed)
    values = generator.normal(3, 20, size=120)
    singly = paired_interval(values[None], list(map(str, range(120))))
    theirs = stats.bootstrap((values,), np.mean, method="percentile", rng=generator)
    assert singly == pytest.approx(tuple(theirs.confidence_interval), abs=0.6)
    seeds_sq = generator.normal(2, 30, size=(3, 120))
    groups = [str(group) for group in generator.integers(30, size=120)]
    assert paired_interval(seeds_sq, groups) == pytest.approx(_one_by_one(seeds_sq, groups))


def _one_by_one(differences_sq: np.ndarray, groups: list[str]) -> tuple[float, float]:
    """Draw as the tables of the proofs were made: the same numbers have to come out."""
    members = {name: [q for q, at in enumerate(groups) if at == name] for name in groups}
    by_group = list(members.values())
    generator, means = np.random.default_rng(0), []
    sums = np.array([[row[places].sum() for places in by_group] for row in differences_sq])
    sizes = np.array([len(places) for places in by_group])
    for _ in range(10_000):
        seeds = generator.integers(len(sums), size=len(sums))
        drawn = generator.integers(len(by_group), size=len(by_group))
        means.append(sums[seeds][:, drawn].mean(0).sum() / sizes[drawn].sum())
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


@pytest.mark.parametrize("sizes", [(2, 2), (3, 3), (3, 5), (1, 4)])
def test_whole_runs_are_swapped_in_all_ways(sizes: tuple[int, int]) -> None:
    generator = np.random.default_rng(sum(sizes))
    first, second = (
        generator.normal(shift, 1, size) for shift, size in zip((0, 2), sizes, strict=True)
    )
    p = seed_test(first, second, paired=False)
    if min(sizes) < 2:
        assert p is None
        return
    expected = stats.permutation_test(
        (first, second), lambda x, y: abs(np.mean(x) - np.mean(y)), alternative="greater"
    ).pvalue
    assert p == pytest.approx(expected)
    assert seed_test(first[:2], first[:2] + 1.0, paired=True) == 0.5


def test_holms_correction_is_the_step_down_one() -> None:
    generator = np.random.default_rng(0)
    for count in (1, 2, 7):
        p_values = generator.random(count).tolist()
        for level in (0.01, 0.05, 0.2, 0.6):
            left, rejected = dict(enumerate(p_values)), set()
            while left:
                place = min(left, key=left.__getitem__)
                if left[place] > level / len(left):
                    break
                rejected.add(place)
                del left[place]
            corrected = holm(p_values)
            assert {place for place, p in enumerate(corrected) if p <= level} == rejected


def runs(tmp_path: Path, given: dict[str, Any], count: int = 40) -> list[str]:
    """Write runs that answer some questions rightly; return their folders."""
    asked = questions(count)
    names = list(asked)
    return [
        str(
            write_run(
                tmp_path / name,
                asked,
                {q: f"gold {place}" if right(place) else "other" for place, q in enumerate(names)},
                config=config,
            )
        )
        for name, (right, config) in given.items()
    ]


def test_figures_are_those_of_the_runs_and_their_order_of_questions_does_not_matter(
    tmp_path: Path,
) -> None:
    asked = questions(60)
    generator = np.random.default_rng(0)
    confident = {name: float(generator.random()) for name in asked}
    texts = {name: f"gold {place}" if place % 3 else "x" for place, name in enumerate(asked)}
    one = write_run(tmp_path / "one", asked, texts, stage="test", confidences=confident)
    shuffled = {name: asked[name] for name in sorted(asked)}
    right = {name: record["golds"][0] for name, record in asked.items()}
    two = write_run(tmp_path / "two", shuffled, right, stage="test", confidences=confident)
    (comparison,) = compare_runs(read_runs([one, two]))
    told = {entry.name: entry for entry in comparison.overall}
    assert (told["f1"].first, told["f1"].second) == pytest.approx(
        (read_json(one / "answers/test/scores.json")["f1"], 100.0)
    )
    correct = [place % 3 != 0 for place in range(60)]
    error = expected_calibration_error(list(confident.values()), correct)
    assert told["calibration_error"].first == pytest.approx(error, abs=1e-6)
    squares = [(confident[q] - right) ** 2 for q, right in zip(asked, correct, strict=True)]
    assert told["brier_score"].first == pytest.approx(np.mean(squares))
    assert len(comparison.won) == 20
    assert comparison.lost == ()
    assert comparison.contexts == 30


def test_seeds_of_a_setting_are_one_run_with_a_spread(tmp_path: Path, capsys: Any) -> None:
    setting = {"model": {"learning_rate": 1e-3}, "data": {"seed": 0, "dataset": "demo"}}
    other = {"model": {"learning_rate": 2e-3}, "data": {"seed": 0, "dataset": "demo"}}
    given = {
        f"{name}{seed}": (
            lambda place, seed=seed, extra=extra: (place + seed) % 4 != 0 or extra,
            {**config, "seed_everything": seed, "trainer": {"default_root_dir": f"{name}{seed}"}},
        )
        for (name, config, extra), seed in itertools.product(
            (("a", setting, False), ("b", other, True)), (0, 1)
        )
    }
    folders = runs(tmp_path, given)
    file = tmp_path / "out.json"
    text = run("compare", *folders, "--json", file, "--html", tmp_path / "out.html")
    (comparison,) = read_json(file)["comparisons"]
    assert comparison["first"]["seeds"] == comparison["second"]["seeds"] == [0, 1]
    assert comparison["paired_seeds"] is True
    assert comparison["first"]["figures"]["exact_match"]["value"] == 75.0
    assert comparison["first"]["figures"]["exact_match"]["spread"] == 0.0
    assert comparison["made"] == [["model.learning_rate", "0.001", "0.002"]]
    (em,) = [e for e in comparison["overall"] if e["name"] == "exact_match"]
    assert em["value"] == 25.0
    assert em["low"] > 0
    assert em["p"] < 0.01
    assert em["p_seeds"] == 0.5  # two seeds say no more
    assert "more than chance" in text
    assert "model.learning_rate" in text
    parts = {(e["kind"], e["part"]) for e in comparison["parts"]}
    assert parts == {("windows", "1"), ("windows", "2")}  # answer_words has one part: it is none
    apart = run("compare", *folders, "--by_run", "--show", 0, "--json", file)
    assert len(read_json(file)["comparisons"]) == 3
    assert "won" in apart


def test_several_settings_have_their_letters_and_are_corrected_for_together(
    tmp_path: Path,
) -> None:
    given = {
        name: (
            lambda place, every=every: place % every != 0,
            {"model": {"learning_rate": every}},
        )
        for name, every in (("base", 2), ("same", 3), ("better", 9), ("worse", 1))
    }
    folders = runs(tmp_path, given, count=60)
    file, page = tmp_path / "out.json", tmp_path / "out.html"
    text = run("compare", *folders, "--json", file, "--html", page)
    assert text.splitlines()[-2:] == [
        f"{file}: all figures, and all answers that changed",
        f"{page}: a page to read",
    ]
    found = read_json(file)["comparisons"]
    assert [each["first"]["letter"] for each in found] == ["A", "A", "A"]
    assert [each["second"]["letter"] for each in found] == ["B", "C", "D"]
    for letter, name in zip("BCD", folders[1:], strict=True):
        assert re.search(rf"^{letter}: {re.escape(name)} *$", text, re.MULTILINE)
        assert f"{letter} less A: F1 " in text
        assert f"<h2>{letter} less A</h2>" in page.read_text()
    for group in ("overall", "parts"):
        for score in ("exact_match", "f1"):
            entries = [e for each in found for e in each[group] if e["name"] == score]
            assert len(entries) == 3 * (1 if group == "overall" else 2)
            corrected = holm([entry["p"] for entry in entries])
            assert [entry["p_corrected"] for entry in entries] == pytest.approx(corrected)
    (one,) = compare_runs(read_runs([Path(folder) for folder in folders[:2]]))
    assert {entry.p_corrected for entry in one.overall} == {None}


def test_many_settings_that_are_alike_seldom_give_an_alarm() -> None:
    """Of three settings with five parts each, all as good as the first, 5 % alarm and not 12."""
    generator = np.random.default_rng(7)
    alarms = 0
    for _ in range(CASES):
        gaps = generator.normal(size=(3, 30, 5))
        p_values = [
            swap_tests(each, resamples=300, seed=int(generator.integers(99))) for each in gaps
        ]
        alarms += min(holm([p for each in p_values for p in each])) < 0.05
    assert alarms / CASES <= likely(0.05)[1]


def test_parts_on_few_contexts_are_told_and_not_tested(tmp_path: Path) -> None:
    asked = questions(60)
    for place, record in enumerate(asked.values()):
        record["parts"] = {"question_word": [0, "rare" if place < 10 else "usual"],
                           "windows": [0, "one" if place < 12 else "more"]}  # fmt: skip
    names = list(asked)
    bad, good = (
        write_run(tmp_path / name, asked,
                  {q: asked[q]["golds"][0] if is_good or place >= 12 else "x"
                   for place, q in enumerate(names)})
        for name, is_good in (("bad", False), ("good", True))
    )  # fmt: skip
    (comparison,) = compare_runs(read_runs([bad, good]))
    parts = {entry.part: entry for entry in comparison.parts if entry.name == "f1"}
    assert {name: entry.contexts for name, entry in parts.items()} == {
        "rare": 5, "usual": 25, "one": 6, "more": 24,
    }  # fmt: skip
    assert parts["rare"].p is None is parts["rare"].p_corrected
    assert parts["one"].p == 2 / 2**6
    assert parts["one"].p_corrected == 3 * 2 / 2**6  # of three that could be told, and not four
    lines = run("compare", bad, good).splitlines()
    (rare,) = (line for line in lines if line.strip().startswith("rare"))
    assert rare.split() == ["rare", "10", "0.0", "100.0", "+100.0", "few"]
    assert max(map(len, lines)) > 80  # a file is not folded


def test_a_difference_that_other_seeds_may_not_have_is_not_called_sure(tmp_path: Path) -> None:
    given = {
        f"{name}{seed}": (
            lambda place, every=every: place % every != 0,
            {"model": {"learning_rate": rate}, "seed_everything": seed},
        )
        for name, rate, seed, every in (
            ("a", 1, 0, 2), ("a", 1, 1, 2), ("b", 2, 0, 2), ("b", 2, 1, 60),
        )
    }  # fmt: skip
    folders = runs(tmp_path, given, count=60)
    text = run("compare", *folders, "--show", 0)
    assert "these runs differ by more than chance, but their seeds differ so much" in text
    assert "more than chance would give" not in text


def test_other_questions_are_refused_or_left_out_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = questions(20)
    right = {name: record["golds"][0] for name, record in asked.items()}
    first = write_run(tmp_path / "first", asked, right)
    fewer = {name: asked[name] for name in list(asked)[:15]}
    cases: dict[str, dict[str, Any]] = {"fewer": fewer}
    for key, value in (("golds", ["another"]), ("question", "?"), ("context", "f" * 16)):
        cases[key] = {**asked, "q3": {**asked["q3"], key: value}}
    for name, each in cases.items():
        other = write_run(tmp_path / name, each, dict.fromkeys(each, "x"))
        message = fail(capsys, "compare", first, other)
        assert "--common" in message
        assert ("q15" if name == "fewer" else "q3") in message
        text = run("compare", first, other, "--common", "--show", 0)
        assert f"{5 if name == 'fewer' else 1} questions that not all runs have" in text
    none = write_run(tmp_path / "none", {"z": asked["q0"]}, {"z": "x"})
    assert "--common" not in fail(capsys, "compare", first, none, "--common")


@pytest.mark.parametrize("spoil", ["absent", "no run", "json", "list", "record", "text", "yaml"])
def test_what_is_no_run_is_told(
    spoil: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = questions(4)
    texts = dict.fromkeys(asked, "x")
    first, other = (write_run(tmp_path / name, asked, texts) for name in ("first", "other"))
    answers = other / "answers" / "val"
    if spoil == "absent":
        shutil.rmtree(other)
    elif spoil == "no run":
        shutil.rmtree(other / "answers")
    elif spoil == "yaml":
        (other / "config.yaml").write_text("a: [", encoding="utf-8")
    else:
        name = "predictions" if spoil == "text" else "questions"
        value = {"json": "{", "list": "[]", "record": '{"q0": {}}', "text": '{"q0": 3}'}[spoil]
        (answers / f"{name}.json").write_text(value, encoding="utf-8")
    message = fail(capsys, "compare", first, other)
    assert str(other) in message
    assert "Traceback" not in message
    assert fail(capsys, "compare", first).startswith("error: Expected two runs")


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    asked = questions(4)
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)> [bold]x[/bold]"
    asked["q1"] |= {"question": evil, "excerpts": [[0, evil]]}
    right = {name: record["golds"][0] for name, record in asked.items()}
    first = write_run(tmp_path / "first", asked, {**right, "q1": evil})
    other = write_run(tmp_path / "other", asked, right, config={"model": {"name": evil}})
    text = run("compare", first, other, "--html", tmp_path / "page.html", "--json", tmp_path / "j")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "&lt;img" in page
    assert "[bold]" in text
    assert json.loads((tmp_path / "j").read_text())["comparisons"][0]["won"][0]["first"] == [evil]


def test_the_page_is_read_on_a_phone(tmp_path: Path, browser: "Browser") -> None:
    given = {
        name: (lambda place, every=every: place % every != 0, {"model": {"learning_rate": every}})
        for name, every in (("base", 2), ("other", 3), ("third", 5))
    }
    html = tmp_path / "page.html"
    run("compare", *runs(tmp_path, given), "--html", html)
    with opened(browser, viewport={"width": 390, "height": 800}) as page:
        page.goto(html.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.locator("th[scope=row]", has_text="calibration error").count() == 2
        for cell in (*page.locator("th[scope=row]").all(), *page.locator("caption span").all()):
            if cell.inner_text():
                assert 20 < cell.bounding_box()["width"] < 390
        assert page.get_by_text("p of seeds").count() == 0  # there is one of each
        assert page.locator("article.answer summary").first.is_visible()


@pytest.mark.front_door
def test_trainings_that_differ_by_their_seed_alone_are_one_setting(
    small: Path, tmp_path: Path
) -> None:
    """Of real runs: another seed draws other windows of the same data."""
    folders = []
    for name, seed, rate in (("a0", 0, 1e-3), ("a1", 1, 1e-3), ("b0", 0, 3e-3)):
        folders.append(tmp_path / name)
        options = ("--data.negative_windows", 0.5, "--model.learning_rate", rate)
        place = ("--seed_everything", seed, "--trainer.default_root_dir", folders[-1])
        run("fit", "--config", small, "--trainer.max_epochs", 1, *options, *place)
    file = tmp_path / "out.json"
    run("compare", *folders, "--json", file)
    (comparison,) = read_json(file)["comparisons"]
    assert comparison["first"]["seeds"] == [0, 1]
    assert comparison["second"]["seeds"] == [0]
    assert [key for key, _, _ in comparison["made"]] == ["model.learning_rate"]
    drawn, kept = (
        {
            read_json(folder / "reports" / "fit.json")["provenance"][name]["train"]
            for folder in folders
        }
        for name in ("data_fingerprint", "data_content")
    )
    assert (len(drawn), len(kept)) == (2, 1)


@pytest.mark.front_door
def test_a_run_compares_with_itself(demo_run: Path, tmp_path: Path) -> None:
    """What `fit` writes is what is read, and its own scores come out."""
    file = tmp_path / "out.json"
    text = run("compare", demo_run, demo_run, "--json", file)
    (comparison,) = read_json(file)["comparisons"]
    scores = read_json(demo_run / "answers" / "val" / "scores.json")
    for entry in comparison["overall"]:
        assert entry["value"] == entry["low"] == entry["high"] == 0
        expected = scores.get(entry["name"])
        assert expected is None or entry["first"] == pytest.approx(expected, abs=2e-3)
    assert comparison["made"] == []
    assert "no answer's score differs" in text
    kept = read_json(demo_run / "answers" / "val" / "questions.json")
    best = read_json(demo_run / "answers" / "val" / "nbest_predictions.json")
    for name, record in kept.items():
        start, end = record["given"]
        texts = [
            t[start - at : end - at] for at, t in record["excerpts"] if at <= start < at + len(t)
        ]
        assert texts == [best[name][0]["text"]]
        assert any(low <= start and end <= high for low, high in record["windows"])
