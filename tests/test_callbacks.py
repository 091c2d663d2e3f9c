"""The callbacks piece by piece; what they do in a run is in `front_door/`."""

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from rich.console import Console

from qa_lightning.answers import Answer, QuestionAnswers
from qa_lightning.calibration import held_out
from qa_lightning.callbacks import AnswerEvaluation, AnswerPreview, BestCheckpoint, LastCheckpoint
from qa_lightning.callbacks.assessment import AnswerSettings, assess, mean_loss
from qa_lightning.callbacks.gathering import NO_LOSS, GatheredWindows, WindowStore
from qa_lightning.callbacks.preview import answer_table, as_found_here
from qa_lightning.callbacks.run_folder import move_earlier_run
from qa_lightning.callbacks.throughput import Throughput
from qa_lightning.candidates import TokenCandidates
from qa_lightning.errors import InputError
from qa_lightning.scores import bootstrap_interval

# Two documents of two words, in windows of a word each; the third is one window of its own.
CONTEXTS = ["rio Douro", "vila Real", "nada"]
SPANS = [(0, 3), (4, 9), (0, 4), (5, 9), (0, 4)]
EXAMPLE_OF = [0, 0, 1, 1, 2]
EXAMPLE_OF_WINDOW = np.array(EXAMPLE_OF)


def split(golds: list[list[str]], names: Sequence[str] = ("q0", "q1", "q2")) -> Any:
    """Return examples and their windows as a datamodule holds them."""
    rows = [
        {
            "id": name,
            "title": "",
            "context": context,
            "question": "Que?",
            "answers": {"text": texts, "answer_start": [context.index(t) for t in texts]},
            "spans": {
                "start_char": [context.index(t) for t in texts],
                "end_char": [context.index(t) + len(t) for t in texts],
                "status": ["exact"] * len(texts),
                "confidence": [1.0] * len(texts),
            },
        }
        for name, context, texts in zip(names, CONTEXTS, golds, strict=True)
    ]
    windows = [
        {"example_index": example, "window_index": 0, "context_offsets": list(span)}
        for example, span in zip(EXAMPLE_OF, SPANS, strict=True)
    ]
    return SimpleNamespace(
        examples=datasets.Dataset.from_list(rows), features=datasets.Dataset.from_list(windows)
    )


def gathered(windows: list[tuple[int, float, float, float]]) -> GatheredWindows:
    """Return windows of one span each: index, score, null score, loss."""
    index, score, null, loss = (list(column) for column in zip(*windows, strict=True))
    count = len(index)
    zeros = torch.zeros(count, 1, dtype=torch.int32)
    candidates = TokenCandidates(
        torch.tensor(index), zeros, zeros.clone(), torch.tensor(score)[:, None],
        torch.tensor(null), torch.zeros(count),
    )  # fmt: skip
    return GatheredWindows(candidates, torch.tensor(loss))


def settings(**changed: Any) -> AnswerSettings:
    values = {
        "n_best": 5,
        "window_scoring": "raw",
        "threshold": None,
        "threshold_is_fixed": False,
        "temperature": 1.0,
        "no_answer": False,
    }
    return AnswerSettings(**{**values, **changed})


WHOLE = [
    (0, 1.0, 0.0, 1.0),
    (1, 4.0, 0.0, 2.0),
    (2, 5.0, 0.0, 3.0),
    (3, 2.0, 0.0, 4.0),
    (4, 1.0, 9.0, 5.0),
]
GOLDS = [["Douro"], ["Real"], ["nada"]]


def test_windows_that_came_twice_count_once() -> None:
    once = assess(gathered(WHOLE), split(GOLDS), settings=settings(), fit=True, language=None)
    replicas = [*WHOLE[::-1], WHOLE[4], WHOLE[0], WHOLE[0]]
    twice = assess(gathered(replicas), split(GOLDS), settings=settings(), fit=True, language=None)
    assert once.scores == twice.scores
    assert once.answers == twice.answers
    assert once.scores["loss"] == 3.0
    assert not once.partial


def test_answers_and_scores_of_whole_data() -> None:
    result = assess(gathered(WHOLE), split(GOLDS), settings=settings(), fit=True, language="pt")
    # The third null score is higher than the span's, but every question has an answer here.
    assert [answer.text for answer in result.answers] == ["Douro", "vila", "nada"]
    assert result.scores["exact_match"] == pytest.approx(200 / 3)
    assert result.settings.threshold is None
    assert not result.settings.no_answer
    assert "f1_pt" in result.scores


def test_only_questions_seen_whole_are_scored_and_the_pass_is_partial() -> None:
    result = assess(gathered(WHOLE[1:]), split(GOLDS), settings=settings(), fit=True, language=None)
    assert result.partial
    assert [answer.id for answer in result.answers] == ["q1", "q2"]
    assert result.scores["loss"] == 3.5

    nothing = assess(
        gathered(WHOLE[1:2]), split(GOLDS), settings=settings(), fit=True, language=None
    )
    assert nothing.partial
    assert nothing.scores["loss"] == 2.0
    assert not nothing.answers


def test_a_threshold_is_fitted_where_questions_may_have_no_answer() -> None:
    data = split([["Douro"], ["vila"], []])
    result = assess(gathered(WHOLE), data, settings=settings(), fit=True, language=None)
    assert result.settings.no_answer
    assert [answer.text for answer in result.answers] == ["Douro", "vila", ""]
    assert result.scores["best_f1"] == result.scores["f1"] == 100
    assert result.scores["NoAns_f1"] == 100
    assert -4 <= result.settings.threshold < 8

    kept = settings(threshold=-100.0)
    tested = assess(gathered(WHOLE), data, settings=kept, fit=False, language=None)
    assert {answer.text for answer in tested.answers} == {""}
    assert tested.settings.threshold == -100.0
    fixed = settings(threshold=-100.0, threshold_is_fixed=True)
    validated = assess(gathered(WHOLE), data, settings=fixed, fit=True, language=None)
    assert {answer.text for answer in validated.answers} == {""}


def test_the_loss_leaves_unlabelled_windows_out() -> None:
    rows = [(0, 0, 0, 2.0), (1, 0, 0, NO_LOSS), (2, 0, 0, 4.0), (2, 0, 0, 4.0)]
    figures = mean_loss(gathered(rows), EXAMPLE_OF_WINDOW)
    assert (figures["loss"], figures["windows_without_label"]) == (3.0, 1.0)
    assert mean_loss(gathered([(0, 0, 0, NO_LOSS)]), EXAMPLE_OF_WINDOW) == {}


def test_the_loss_of_a_diverged_network_is_not_taken_for_a_missing_label() -> None:
    rows = [(0, 0, 0, 2.0), (1, 0, 0, float("nan")), (2, 0, 0, NO_LOSS)]
    figures = mean_loss(gathered(rows), EXAMPLE_OF_WINDOW)
    assert math.isnan(figures["loss"])
    assert figures["windows_without_label"] == 1


def test_the_losses_interval_draws_questions_not_their_windows() -> None:
    # Ten questions of fifty windows, all windows of a question alike.
    generator = np.random.default_rng(0)
    loss_of = generator.random(10).astype(np.float32)
    example_of = np.repeat(np.arange(10), 50)
    rows = [(number, 0, 0, float(loss_of[example])) for number, example in enumerate(example_of)]
    figures = mean_loss(gathered(rows), example_of)
    assert figures["loss"] == pytest.approx(loss_of.mean())
    assert (figures["loss_low"], figures["loss_high"]) == pytest.approx(bootstrap_interval(loss_of))


def test_every_figure_that_is_a_mean_has_an_interval() -> None:
    data = split([["Douro"], ["vila"], []])
    scores = assess(gathered(WHOLE), data, settings=settings(), fit=True, language="pt").scores
    means = {name.removesuffix("_low") for name in scores if name.endswith("_low")}
    assert means == {
        "loss", "exact_match", "f1", "exact_match_repaired", "f1_repaired", "exact_match_pt",
        "f1_pt", "HasAns_exact", "HasAns_f1", "NoAns_exact", "NoAns_f1",
    }  # fmt: skip
    for name in means:
        assert scores[f"{name}_low"] <= scores[name] <= scores[f"{name}_high"]


def test_the_store_begins_typed_and_shaped() -> None:
    store = WindowStore(n_best=3)
    for _ in range(2):  # a second pass forgets the first
        store.begin(torch.device("cpu"))
        empty = store.gathered()
        assert empty.candidates.score_bn.shape == (0, 3)
        assert empty.candidates.feature_index_b.dtype == torch.int64
        assert empty.loss_b.shape == (0,)
        one = gathered(WHOLE[:1])
        wide = one.candidates._replace(
            **{
                name: getattr(one.candidates, name).expand(1, 3)
                for name in ("start_token_bn", "last_token_bn", "score_bn")
            }
        )
        store.update(wide, one.loss_b.double())
        assert store.gathered().loss_b.dtype == torch.float32
        assert len(store.gathered().loss_b) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"n_best": 0}, "n_best"),
        ({"max_answer_length": 0}, "max_answer_length"),
        ({"search": "greedy"}, "search"),
        ({"window_scoring": "best"}, "window_scoring"),
    ],
)
def test_arguments_that_cannot_work(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=rf"`evaluation\.{told}`"):
        AnswerEvaluation(**arguments)


def test_confidences_are_reported_on_the_half_they_were_not_fitted_on() -> None:
    data = split(GOLDS, names=("q0", "x", "q2"))
    options: dict[str, Any] = {"settings": settings(), "language": None}
    fitted = assess(gathered(WHOLE), data, fit=True, **options)
    kept = held_out(fitted.answers)
    assert 0 < len(kept) < 3
    calibration = fitted.details["calibration"]
    assert calibration["reported_count"] == len(kept)
    assert fitted.scores["calibration_error"] == calibration["ece_after"]
    assert sum(part["count"] for part in fitted.details["reliability"]) == len(kept)
    # Nothing is fitted in a test: all questions are reported on.
    tested = assess(gathered(WHOLE), data, fit=False, **options)
    assert sum(part["count"] for part in tested.details["reliability"]) == 3


def plain_types(value: Any) -> Iterator[type]:
    """Yield the types of the values that lists and objects consist of."""
    if isinstance(value, dict | list):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from plain_types(entry)
    else:
        yield type(value)


def test_fitted_values_travel_in_plain_types() -> None:
    evaluation = AnswerEvaluation()
    data = split([["Douro"], ["vila"], []])
    result = assess(gathered(WHOLE), data, settings=settings(), fit=True, language=None)
    fitted = replace(result.settings, threshold=-1.5, temperature=2.0)
    evaluation._keep_fitted(replace(result, settings=fitted), "val")
    state = evaluation.state_dict()
    assert set(plain_types(state)) <= {float, bool, int, str, type(None)}
    assert state["calibration"]["fitted_count"] + state["calibration"]["reported_count"] == 3
    assert {"ece_before", "ece_after"} <= set(state["calibration"])
    assert state["risk_coverage"][-1]["coverage"] == 1.0
    other = AnswerEvaluation()
    other.load_state_dict(state)
    assert other.state_dict() == state
    assert other._settings().threshold == -1.5
    assert other._settings().temperature == 2.0
    assert AnswerEvaluation(null_score_threshold=3.0)._settings().threshold_is_fixed


def test_the_two_checkpoints_have_states_of_their_own(tmp_path: Path) -> None:
    best = BestCheckpoint(dirpath=str(tmp_path), every_n_train_steps=5)
    last = LastCheckpoint.beside(best)
    assert isinstance(best, ModelCheckpoint)
    assert best.state_key != last.state_key
    assert (last.dirpath, last.last_every_n_train_steps) == (best.dirpath, 5)
    assert last.monitor is None
    assert best.monitor == "val/f1"


def state_of(folder: Path, score: float) -> dict[str, Any]:
    """Return the state of a best checkpoint that was kept in a folder."""
    best = BestCheckpoint(dirpath=str(folder))
    path, value = str(folder / "best.ckpt"), torch.tensor(score)
    best.best_model_path = best.kth_best_model_path = path
    best.best_model_score = best.kth_value = value
    best.best_k_models = {path: value}
    return best.state_dict()


def test_the_best_there_was_is_taken_over_where_its_checkpoint_is(tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    state = state_of(tmp_path / "there", 70.0)
    best = BestCheckpoint(dirpath=str(here))
    nothing: Any = None
    best.load_state_dict(state)
    best.on_train_start(nothing, nothing)
    assert best.best_model_score is None  # its file is elsewhere: no best yet
    (here / "best.ckpt").touch()
    best.load_state_dict(state)
    best.on_train_start(nothing, nothing)
    assert float(best.best_model_score) == 70
    assert best.best_model_path == str(here / "best.ckpt")
    assert set(best.best_k_models) == {best.best_model_path}


def test_an_earlier_run_moves_as_a_whole(tmp_path: Path) -> None:
    for name in ("config.yaml", "checkpoints/last.ckpt", "answers/val/scores.json", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "earlier" / "1").mkdir(parents=True)
    move_earlier_run(tmp_path, tmp_path / "checkpoints")
    moved = tmp_path / "earlier" / "2"
    assert (moved / "answers" / "val" / "scores.json").read_text() == "answers/val/scores.json"
    assert (moved / "checkpoints" / "last.ckpt").is_file()
    assert (moved / "config.yaml").is_file()
    assert (tmp_path / "notes.txt").is_file()
    move_earlier_run(tmp_path, tmp_path / "checkpoints")  # nothing is left to move
    assert not (tmp_path / "earlier" / "3").exists()


def test_the_preview_shows_sentence_answer_and_gold() -> None:
    context = "O rio Douro passa no Porto. O rio Tejo passa em Lisboa."
    examples = [
        {"question": "Onde passa o Tejo?", "context": context, "answers": {"text": ["Lisboa"]}},
        {"question": "Onde passa o Nilo?", "context": context, "answers": {"text": []}},
    ]
    start = context.index("Lisboa")
    answer = Answer("Lisboa", start, start + 6, 1.0, 0.9)
    common = {"null_score": 0.0, "null_odds": -1.0, "no_answer_probability": 0.1}
    answers = [
        QuestionAnswers("a", 0, (answer,), is_answerable=True, **common),
        QuestionAnswers("b", 1, (answer,), is_answerable=False, **common),
    ]
    output = io.StringIO()
    Console(file=output, width=120).print(answer_table(answers, examples))
    text = output.getvalue()
    assert "O rio Tejo passa em [Lisboa]." in text  # also where there are no colours
    assert "O rio Douro" not in text
    assert text.count("no answer") == 2


def test_the_preview_estimates_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    preview = AnswerPreview(estimate_after=2)
    trainer: Any = SimpleNamespace(
        global_step=10,
        is_global_zero=True,
        estimated_stepping_batches=100,
        progress_bar_callback=None,
    )
    preview.on_train_start(trainer, None)
    for step in (11, 12, 13):
        trainer.global_step = step
        preview.on_train_batch_end(trainer, None, None, None, 0)
    out = capsys.readouterr().out
    assert out.count("88 steps to go") == 1
    assert np.isfinite(float(out.split("about ")[1].split(" ")[0]))


def test_the_next_command_is_one_that_the_shell_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    program = programs / "lightning"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(programs / "python"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    assert as_found_here("lightning test --config a.yaml") == (
        ".venv/bin/lightning test --config a.yaml"
    )
    monkeypatch.setenv("PATH", str(programs))
    assert as_found_here("lightning test --config a.yaml") == "lightning test --config a.yaml"
    assert as_found_here("other") == "other"


def test_speed_leaves_out_validations_and_what_is_saved_after_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    logged: dict[str, float] = {}
    monkeypatch.setattr("qa_lightning.callbacks.throughput.time.perf_counter", lambda: now[0])
    trainer: Any = SimpleNamespace(
        is_last_batch=False, global_step=0, log_every_n_steps=2, world_size=1
    )
    module: Any = SimpleNamespace(log=lambda name, value, **_: logged.update({name: value}))
    batch = {"attention_mask": torch.ones(8, 4)}
    speed = Throughput()
    speed.on_train_start(trainer, module)
    for step in (1, 2):
        speed.on_train_batch_start(trainer, module, batch, step)
        now[0] += 2.0
        trainer.global_step = step
        speed.on_train_batch_end(trainer, module, None, batch, step)
        if step == 1:
            now[0] += 100.0  # a validation
            speed.on_validation_end(trainer, module)
            now[0] += 50.0  # checkpoints, tables
    assert logged == {"train/windows_per_second": 4.0, "train/padding_share": 0.0}
