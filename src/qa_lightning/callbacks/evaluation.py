"""The evaluation callback: one pass over the windows gives the loss, the answers and the scores."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info

from qa_lightning.answers import DEFAULT_WINDOW_SCORING, WINDOW_SCORINGS
from qa_lightning.batches import word_masks
from qa_lightning.callbacks.assessment import AnswerSettings, Assessment, assess, check_readable
from qa_lightning.callbacks.gathering import NO_LOSS, WindowStore
from qa_lightning.callbacks.run_checks import SCREENED, data_language, run_problems
from qa_lightning.callbacks.scored import SplitData
from qa_lightning.callbacks.tracked_run import is_dry
from qa_lightning.callbacks.word_borders import decide_borders
from qa_lightning.candidates import MAX_N_BEST, SEARCHES, window_candidates
from qa_lightning.errors import InputError
from qa_lightning.languages import language_problems
from qa_lightning.ranges import Rule, flag, number, one_of, problems, text, whole
from qa_lightning.reports.evaluation import write_evaluation
from qa_lightning.screening import SCREEN_RULE, Screen

RULES: dict[str, Rule] = {
    "n_best": whole(1, MAX_N_BEST),
    "max_answer_length": whole(1, remedy="It counts tokens."),
    "null_score_threshold": number(optional=True, remedy="null is for one that is fitted."),
    "window_scoring": one_of(WINDOW_SCORINGS),
    "search": one_of(SEARCHES),
    "metrics": Rule(
        "to be a list of names",
        "For example [squad]; [] is for none.",
        lambda names: not isinstance(names, str) and all(map(text(optional=False).allows, names)),
    ),
    "word_borders": flag(optional=True),
    "screen": SCREEN_RULE,
    **dict.fromkeys(("language", "output_dir"), text()),
}


class AnswerEvaluation(Callback):
    """Answer every question at the end of each evaluation epoch, score, log and write files.

    Windows become small records on the device, the records of all processes are gathered, the
    sampler's replicas are dropped by ``feature_index``, every process computes the same scores,
    and rank zero writes ``<output_dir>/<stage>/{predictions,nbest_predictions,null_odds,scores}
    .json``. A pass that did not see every window (the sanity check, ``limit_val_batches``) logs
    under ``val_partial/`` and writes nothing.

    Args:
        n_best: answers kept for each question.
        max_answer_length: in tokens.
        null_score_threshold: for data with unanswerable questions: no answer where the null odds
            are greater; None: fitted on each whole validation, and kept in the checkpoint.
        window_scoring: how windows of a question compete: ``relative``, ``raw`` (as ``run_qa.py``)
            or ``log_probability``.
        search: ``exact``, or ``top_k`` for the classic 20 × 20 search.
        word_borders: search only answers that begin and end where words do; None: if the language
            writes blanks between words and its answers are whole words, or, where ``language`` is
            not known, if the gold spans are.
        screen: windows to read of each question, those that fit its words best: a number,
            ``auto`` or ``all``. Loss, null scores, threshold and temperature are then of these.
        language: ISO code; adds scores by this language's rules; None is the data's.
        metrics: further metrics, by the names that ``evaluate.load`` takes.
        output_dir: folder of the files; None is ``answers`` in the run's folder.

    Raises:
        InputError: a value out of range.
    """

    def __init__(
        self,
        *,
        n_best: int = 20,
        max_answer_length: int = 30,
        null_score_threshold: float | None = None,
        window_scoring: str = DEFAULT_WINDOW_SCORING,
        search: str = "exact",
        word_borders: bool | None = None,
        screen: Screen = "all",
        language: str | None = None,
        metrics: Sequence[str] = (),
        output_dir: str | None = None,
    ) -> None:
        self.n_best = n_best
        self.max_answer_length = max_answer_length
        self.null_score_threshold = null_score_threshold
        self.window_scoring = window_scoring
        self.search = search
        self.word_borders = word_borders
        self.ends_at_borders = bool(word_borders)
        """What was decided; a checkpoint's decision is kept unless ``word_borders`` is given."""
        self.screen = screen
        self.language = language
        self.metrics = metrics
        self.output_dir = output_dir
        if found := list(evaluation_problems(vars(self))):
            raise InputError("\n".join(found))
        self.metrics = list(metrics)
        self.fitted: dict[str, Any] = {
            **{"threshold": None, "temperature": 1.0, "no_answer": False},
            **{"calibration": None, "risk_coverage": None},
        }
        self.latest: Assessment | None = None
        """The newest whole evaluation; ``latest.answers`` and ``latest.scores``."""
        self._store = WindowStore(n_best)
        self._checkpoint_progress: dict[str, int] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse what would fail after hours, and decide whether answers end where words do.

        The data is there by now, the weights are not.

        Raises:
            InputError: no data module of ours, a key that is never logged, no validation in reach.
        """
        language = self.language or data_language(trainer)
        asked = run_problems(
            trainer,
            pl_module,
            stage=stage,
            language=language,
            metrics=tuple(self.metrics),
            screen=self.screen,
        )
        if found := list(asked):
            raise InputError("\n".join(found))
        self.ends_at_borders = decide_borders(self.word_borders, language, trainer)
        for name in SCREENED.get(stage, ()) if self.screen != "all" else ():
            trainer.datamodule.screen(name, self.screen)  # type: ignore[attr-defined]

    # Each evaluation loop: begin, add each batch, finish.

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a pass."""
        self._store.begin(pl_module.device)

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a pass."""
        self._store.begin(pl_module.device)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the candidates of the batch's windows."""
        self._add(outputs, batch)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the candidates of the batch's windows."""
        self._add(outputs, batch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score the validation split."""
        self._finish(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score the test split."""
        self._finish(trainer, pl_module, "test")

    def _add(self, outputs: Any, batch: Any) -> None:
        candidates = window_candidates(
            outputs["start_logits_bl"],
            outputs["end_logits_bl"],
            context_mask_bl=batch["context_mask"],
            attention_mask_bl=batch["attention_mask"],
            cls_positions_b=batch["cls_positions"],
            feature_index_b=batch["feature_index"],
            n_best=self.n_best,
            max_answer_length=self.max_answer_length,
            search=self.search,
            word_masks=word_masks(batch) if self.ends_at_borders else None,
        )
        loss_b = outputs["loss_b"]
        if loss_b is None:
            loss_b = torch.full_like(candidates.null_score_b, NO_LOSS)
        else:
            loss_b = loss_b.masked_fill(batch["start_positions"] < 0, NO_LOSS)
        self._store.update(candidates, loss_b)

    def _finish(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        split: SplitData = trainer.datamodule.split(stage)  # type: ignore[attr-defined]
        gathered = self._store.gathered()
        check_readable(gathered)
        result = assess(
            gathered,
            split,
            settings=self._settings(),
            fit=stage == "val",
            language=self.language or trainer.datamodule.hparams["language"],  # type: ignore[attr-defined]
            metrics=self.metrics,
        )
        self._store.reset()
        if result.partial or trainer.sanity_checking:
            if not trainer.sanity_checking:
                rank_zero_info(
                    f"Not all {len(split.features)} windows were seen, as `limit_val_batches` and "
                    f"its kin have it: scores go under `{stage}_partial/`, and neither files nor a "
                    "best checkpoint are written."
                )
            stage = f"{stage}_partial"
        else:
            self._keep_fitted(result, stage)
            if trainer.is_global_zero and not is_dry(trainer):
                self._write(trainer, result, stage)
            self.latest = replace(result, scored=None)  # its texts are the split's, once more
        shown = () if stage.endswith("_partial") else ("loss", "exact_match", "f1")
        for name, value in result.scores.items():
            # Ends of intervals and counts make no curves: they are in tables and files.
            is_curve = not name.endswith(("_low", "_high")) and name != "windows_without_label"
            pl_module.log(
                f"{stage}/{name}", value, prog_bar=name in shown, logger=None if is_curve else False
            )

    def _keep_fitted(self, result: Assessment, stage: str) -> None:
        if stage == "val":
            self.fitted = {
                "threshold": result.settings.threshold,
                "temperature": result.settings.temperature,
                "no_answer": result.settings.no_answer,
                "calibration": result.details["calibration"],
                "risk_coverage": result.details["risk_coverage"],
            }

    def _settings(self) -> AnswerSettings:
        configured = self.null_score_threshold
        return AnswerSettings(
            n_best=self.n_best,
            window_scoring=self.window_scoring,
            threshold=self.fitted["threshold"] if configured is None else configured,
            threshold_is_fixed=configured is not None,
            temperature=self.fitted["temperature"],
            no_answer=self.fitted["no_answer"],
        )

    def _folder(self, trainer: Trainer) -> Path:
        return Path(self.output_dir or Path(trainer.default_root_dir) / "answers")

    def _write(self, trainer: Trainer, result: Assessment, stage: str) -> None:
        write_evaluation(
            self._folder(trainer) / stage,
            answers=result.answers,
            no_answer=result.settings.no_answer,
            questions=result.scored.questions(result.answers) if result.scored else (),
            scores={
                **result.scores,
                **result.details,
                **self._progress(trainer),
                "examples": len(result.answers),
                "screen": self.screen,
            },
        )

    def _progress(self, trainer: Trainer) -> dict[str, int]:
        if trainer.state.fn != TrainerFn.FITTING and self._checkpoint_progress:
            return self._checkpoint_progress
        return {"epoch": trainer.current_epoch, "global_step": trainer.global_step}

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Remember where in training the checkpoint was written; the loops forget it."""
        self._checkpoint_progress = {key: checkpoint[key] for key in ("epoch", "global_step")}

    def state_dict(self) -> dict[str, Any]:
        """Return what was fitted on validation, what it is worth, and how answers are searched."""
        searched = ("n_best", "max_answer_length", "window_scoring", "search")
        searched_as = {name: getattr(self, name) for name in searched}
        return {**self.fitted, **searched_as, "word_borders": self.ends_at_borders}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the fitted values of a checkpoint, and how it searched when they were fitted."""
        if self.word_borders is None:
            self.ends_at_borders = bool(state_dict.get("word_borders"))
        self.fitted.update({key: state_dict[key] for key in self.fitted if key in state_dict})


def evaluation_problems(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence for each argument of `AnswerEvaluation` that cannot work."""
    yield from problems(RULES, settings, prefix="evaluation.")
    yield from language_problems(settings["language"], "evaluation.language")
