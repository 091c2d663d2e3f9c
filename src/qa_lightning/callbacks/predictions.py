"""The prediction callback: answers are written while they are found, by every process.

Axes: ``b`` windows in the batch, ``n`` best spans of a window, ``l`` tokens.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from numpy.typing import NDArray
from torch import Tensor

from qa_lightning.answerer.deciding import decide, join_candidates
from qa_lightning.answerer.loading import DecisionSettings
from qa_lightning.answerer.parts import FORMATS, PartFolder, answer_row
from qa_lightning.batches import word_masks
from qa_lightning.callbacks.evaluation import AnswerEvaluation
from qa_lightning.callbacks.prediction_progress import ProgressReport
from qa_lightning.callbacks.run_checks import serving_problems
from qa_lightning.candidates import (
    MAX_N_BEST,
    TokenCandidates,
    WindowCandidates,
    window_candidates,
)
from qa_lightning.errors import InputError
from qa_lightning.ranges import Rule, check, one_of, text, whole
from qa_lightning.screening import SCREEN_RULE, Screen

RULES: dict[str, Rule] = {
    "output_dir": text(),
    "file_format": one_of(FORMATS),
    "n_best": whole(1, MAX_N_BEST),
    "screen": SCREEN_RULE,
}

_SAMPLED = 64  # values of each weight that tell one network from another


@dataclass
class _OpenBlock:
    """Hold the windows of a block whose last window is not there yet."""

    candidates: list[WindowCandidates] = field(default_factory=list)
    row_w: list[NDArray[np.int64]] = field(default_factory=list)


class PredictionWriter(Callback):
    """Write the answers of ``predict``, block by block, and merge them at the end.

    Each process writes its blocks of whole questions as parts while it goes; nothing but the open
    block is in memory. At the end the parts become one file, in the order of the input. A run that
    was killed is taken up by the same command, with any number of processes: finished blocks are
    not answered again.

    It wants the data module's ``prediction_plan`` to be what ``prediction_loader`` is called with
    (see ``qa_lightning.answerer.blocks``), and decides as ``AnswerEvaluation`` does, whose fitted
    values come from the checkpoint.

    Args:
        output_dir: folder of the file; None is ``answers/predict`` in the run's folder. All
            processes must see the same folder.
        file_format: ``jsonl`` (a line a question) or ``parquet``.
        n_best: spans to write of each question.
        screen: windows to read of each question, those that fit its words best: a number,
            ``auto`` or ``all``.

    Raises:
        InputError: a value out of range.
    """

    def __init__(
        self,
        *,
        output_dir: str | None = None,
        file_format: str = "jsonl",
        n_best: int = 1,
        screen: Screen = "all",
    ) -> None:
        self.output_dir = output_dir
        self.file_format = file_format
        self.n_best = n_best
        self.screen = screen
        check(RULES, vars(self), prefix="prediction.")
        self.output_file: Path | None = None
        """The merged file, once it is there."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Look for the parts of an earlier process and tell the data module what is left.

        Raises:
            InputError: the data module is another than ours and lacks what is asked of it.
        """
        if stage != "predict":
            return
        self._check_data(trainer)
        folder = Path(self.output_dir or Path(trainer.default_root_dir) / "answers" / "predict")
        self._parts = PartFolder(folder, self.file_format)
        self._examples = trainer.datamodule.split("predict").examples  # type: ignore[attr-defined]
        self._plan = self._parts.plan(len(self._examples))
        self._open: dict[int, _OpenBlock] = {}
        # Every process must have looked before any of them writes.
        trainer.strategy.barrier("prediction parts")
        trainer.datamodule.prediction_plan = self._plan  # type: ignore[attr-defined]
        trainer.datamodule.prediction_screen = self.screen  # type: ignore[attr-defined]

    def _check_data(self, trainer: Trainer) -> None:
        """Refuse a data module that does not serve blocks of questions, or cannot screen them."""
        needs = {
            "split": "which knows the questions that are answered",
            "prediction_plan": "which serves them in the blocks that are written",
        }
        if self.screen != "all":
            needs["prediction_screen"] = f"which reads what `prediction.screen` {self.screen} asks"
        data = getattr(trainer, "datamodule", None)
        if found := list(serving_problems(data, who="PredictionWriter", needs=needs)):
            raise InputError("\n".join(found))

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note what the answers are of; the weights are there by now."""
        self._decision = self._decide_as(trainer)
        split = trainer.datamodule.split("predict")  # type: ignore[attr-defined]
        identity = {
            "questions": self._plan.questions,
            "per_block": self._plan.per_block,
            "data": getattr(split, "fingerprint", None),
            "weights": weights_fingerprint(pl_module),
            "decision": asdict(self._decision),
            "n_best": self.n_best,
            "file_format": self.file_format,
            **({} if self.screen == "all" else {"screen": self.screen}),
        }
        self._parts.begin(identity, write=trainer.is_global_zero)
        self._progress = ProgressReport(trainer, self._plan)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the batch's candidates; write the block when it is whole."""
        number = int(batch["block"])
        block = self._open.setdefault(number, _OpenBlock())
        block.candidates.append(self._candidates(outputs, batch))
        block.row_w.append(batch["example_index"].cpu().numpy())
        written = 0
        if bool(batch["block_ends"]):
            written = self._write(number, self._open.pop(number))
        self._progress.advance(windows=len(batch["example_index"]), questions=written)

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Merge the parts, if every block has one."""
        self._progress.stop()
        trainer.strategy.barrier("prediction parts written")
        if trainer.is_global_zero:
            self._finish()
        trainer.strategy.barrier("prediction parts merged")

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Give the terminal back."""
        if hasattr(self, "_progress"):
            self._progress.stop()

    def _finish(self) -> None:
        missing = self._parts.missing(self._plan)
        if missing:
            rank_zero_warn(
                f"{len(missing)} of {self._plan.count} blocks of questions are not answered yet; "
                f"the parts stay in {self._parts.folder}, which all processes must see. The same "
                "command takes them up."
            )
            return
        self.output_file = self._parts.merge(self._plan)
        rank_zero_info(f"{self._plan.questions} questions answered: {self.output_file}")

    def _decide_as(self, trainer: Trainer) -> DecisionSettings:
        found = [c for c in trainer.callbacks if isinstance(c, AnswerEvaluation)]  # type: ignore[attr-defined]
        if not found:
            return DecisionSettings(n_best=max(self.n_best, DecisionSettings.n_best))
        evaluation = found[0]
        settings = DecisionSettings.from_evaluation(
            {
                "n_best": max(self.n_best, evaluation.n_best),
                "max_answer_length": evaluation.max_answer_length,
                "window_scoring": evaluation.window_scoring,
                "search": evaluation.search,
                "word_borders": evaluation.ends_at_borders,
                **evaluation.fitted,
            }
        )
        own = evaluation.null_score_threshold
        return settings if own is None else replace(settings, null_score_threshold=own)

    def _candidates(self, outputs: Any, batch: Mapping[str, Tensor]) -> WindowCandidates:
        decision = self._decision
        tokens = window_candidates(
            outputs["start_logits_bl"],
            outputs["end_logits_bl"],
            context_mask_bl=batch["context_mask"],
            attention_mask_bl=batch["attention_mask"],
            cls_positions_b=batch["cls_positions"],
            feature_index_b=batch["feature_index"],
            n_best=decision.n_best,
            max_answer_length=decision.max_answer_length,
            search=decision.search,
            word_masks=word_masks(batch) if decision.word_borders else None,
        )
        return in_characters(tokens, batch["context_offsets"])

    def _write(self, number: int, block: _OpenBlock) -> int:
        rows = self._plan.rows(number)
        texts = self._examples.select(rows).select_columns(["id", "context"])
        ids, contexts = texts["id"][:], texts["context"][:]
        answers = decide(
            join_candidates(block.candidates),
            np.concatenate(block.row_w) - rows.start,
            contexts,
            decision=self._decision,
            n_best=self._decision.n_best,
        )
        written = [
            answer_row(name, answer, n_best=self.n_best, knows_no_answer=self._decision.no_answer)
            for name, answer in zip(ids, answers, strict=True)
        ]
        self._parts.write(number, written)
        return len(written)


def weights_fingerprint(module: torch.nn.Module) -> str:
    """Hash a sample of each weight: enough to tell one checkpoint from another, at once."""
    digest = hashlib.sha256()
    for name, weight in module.state_dict().items():
        flat = weight.detach().flatten()
        step = max(1, flat.numel() // _SAMPLED)
        sample = flat[::step].float().cpu().numpy()
        digest.update(f"{name} {tuple(weight.shape)}".encode())
        digest.update(np.ascontiguousarray(sample).tobytes())
    return digest.hexdigest()[:32]


def in_characters(tokens: TokenCandidates, offsets_bl2: Tensor) -> WindowCandidates:
    """Look up the characters of token spans, on the device, before they leave it."""
    found_bn = tokens.score_bn > -torch.inf
    if offsets_bl2.shape[1] == 0:  # windows without context: nothing to look up
        offsets_bl2 = offsets_bl2.new_zeros((len(offsets_bl2), 1, 2))
    start_char_bn = offsets_bl2[..., 0].gather(1, tokens.start_token_bn.long()) * found_bn
    end_char_bn = offsets_bl2[..., 1].gather(1, tokens.last_token_bn.long()) * found_bn
    tensors = (
        tokens.feature_index_b,
        start_char_bn,
        end_char_bn,
        tokens.score_bn,
        tokens.null_score_b,
        tokens.log_normalizer_b,
    )
    arrays: list[Any] = [tensor.cpu().numpy() for tensor in tensors]
    return WindowCandidates(*arrays)
