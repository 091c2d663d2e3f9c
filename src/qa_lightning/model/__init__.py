"""The LightningModule: tensors in, losses and logits out; it never sees text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict

import torch
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from transformers import PreTrainedModel, get_scheduler

from qa_lightning.attention import check_padding_side
from qa_lightning.backbones import (
    adapter_problems,
    build_network,
    check_checkpointing,
    freeze_unused,
    load_network,
    plain_config,
    span_logits,
)
from qa_lightning.errors import InputError
from qa_lightning.initialization import INITIALIZATIONS, initialize
from qa_lightning.model.attending import (
    ATTENTIONS,
    check_attention,
    machine_problems,
    warn_of_slow_precision,
)
from qa_lightning.model.finite import POLICIES, StepGuard
from qa_lightning.model.optimizer import RULES as OPTIMIZER_RULES
from qa_lightning.model.optimizer import (
    base_rate,
    follow_rate,
    parameter_groups,
    schedule_problems,
)
from qa_lightning.model.preparing import network_settings, prepare
from qa_lightning.model.sharding import read_whole, shard, whole
from qa_lightning.model.storing import store_whole
from qa_lightning.model.weights import check_reading, check_weights
from qa_lightning.objectives import Objective, objective_problems
from qa_lightning.ranges import Rule, flag, one_of, problems, text
from qa_lightning.resuming import ExactResume, way_back
from qa_lightning.saved import local_file, read_saved, reason, weight_problems

LR_SCHEDULES = (
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
)
"""Those of ``transformers.get_scheduler`` that need no arguments but the numbers of steps."""

Batch = dict[str, Tensor]


RULES: dict[str, Rule] = {
    **OPTIMIZER_RULES,
    "model_name_or_path": text(),
    "config": Rule(
        "to hold keys of a network's config",
        "",
        lambda config: isinstance(config, Mapping),
        optional=True,
    ),
    "revision": text(),
    "attention": one_of(ATTENTIONS),
    "initialization": one_of(INITIALIZATIONS),
    "lr_schedule": one_of(LR_SCHEDULES),
    "nonfinite": one_of(POLICIES),
    **dict.fromkeys(
        ("confidence_weighting", "freeze_embeddings", "gradient_checkpointing"), flag()
    ),
}
"""What the arguments of `QAModule` may be, beside those of the objective and of `lora`."""


class WindowOutputs(TypedDict):
    """What a validation or test step returns for the windows of its batch.

    ``loss_b`` is absent in prediction and where the batch has no labels.
    """

    start_logits_bl: Tensor
    end_logits_bl: Tensor
    loss_b: Tensor | None


class QAModule(LightningModule):
    """Wrap a question-answering network: AdamW, schedule, objective, checkpoint.

    It is a Longformer, or any other that ``AutoModelForQuestionAnswering`` knows (BERT, RoBERTa,
    …) as it is, with the short windows that its positions allow.

    Exactly one of ``model_name_or_path`` and ``config`` is given. The network is built in
    ``configure_model``, in float32 and in training mode (``from_pretrained`` returns evaluation
    mode, and ``Trainer.fit`` keeps it so: dropout would be off).

    Args:
        model_name_or_path: Hub id or folder of a checkpoint.
        config: keys of ``LongformerConfig``, for a network built from scratch; with ``model_type``
            (``bert``, …) those of another kind's config.
        initialization: how a network built from ``config`` starts: ``default`` (transformers')
            or ``matching`` (see ``qa_lightning.initialization``); a checkpoint brings its own.
        attention: ``windowed`` (exact and fast; for Longformers and, in their sliding layers,
            ModernBERT and its kin), ``flex`` (``flex_attention``, for GPUs), ``sdpa`` or ``flash``
            (transformers' implementations, where the network has them) or ``reference``
            (transformers' own choice, as ``windowed`` is for networks without a window).
        objective: ``first_answer``, ``any_answer`` or ``document`` (see
            ``qa_lightning.objectives``); the latter two need ``all_gold_spans`` of
            ``QADataModule``, and ``document`` its ``group_by_document``.
        label_smoothing: share of the target, 0 to below 1, that is spread over all tokens of a
            window; for ``first_answer`` alone.
        confidence_weighting: weigh training windows (documents under ``document``) by the
            confidence with which alignment placed their answer; 1 where it stands exactly.
        learning_rate: peak learning rate of AdamW.
        head_learning_rate: that of the question-answering head; None is ``learning_rate``.
        layer_decay: each layer's rate is this times the rate of the layer above, down to the
            embeddings; 1 gives all the same.
        freeze_embeddings: leave the embeddings as they are.
        lora: train adapters (Hu et al. 2021) and the head in place of all weights; needs the
            package ``peft``. Keys of its ``LoraConfig``: ``r`` (8), ``lora_alpha`` (16),
            ``lora_dropout`` (0), ``use_rslora`` (false), ``target_modules`` (the projections of
            queries, keys and values, local and global); ``{}`` takes these defaults.
        weight_decay: AdamW's decay of matrices; biases and norms have none.
        adam_betas: AdamW's decay rates of the two moments.
        warmup_ratio: share of all optimizer steps, 0 to 1, in which the rate rises from zero.
        lr_schedule: one of ``LR_SCHEDULES``.
        schedule_steps: optimizer steps over which the rate runs to its end; None: those of the
            whole training, which must have an end then (not so for a constant rate).
        gradient_checkpointing: recompute activations in the backward pass (non-reentrant).
        nonfinite: what a step does whose loss or gradient is not finite; it is never applied, and
            the examples are named. ``raise`` ends the run; ``skip`` goes on, and ends it after ten
            such steps in a row.
        revision: branch, tag or commit of the Hub checkpoint.

    Raises:
        InputError: both or neither of ``model_name_or_path`` and ``config``, or a value out of
            range; all problems are told at once.
    """

    def __init__(
        self,
        model_name_or_path: str | None = None,
        *,
        config: dict[str, Any] | None = None,
        initialization: str = "default",
        attention: str = "windowed",
        objective: str = "first_answer",
        label_smoothing: float = 0.0,
        confidence_weighting: bool = False,
        learning_rate: float = 1e-5,
        head_learning_rate: float | None = None,
        layer_decay: float = 1.0,
        freeze_embeddings: bool = False,
        lora: dict[str, Any] | None = None,
        weight_decay: float = 0.01,
        adam_betas: tuple[float, float] = (0.9, 0.999),
        warmup_ratio: float = 0.0,
        lr_schedule: str = "linear",
        schedule_steps: int | None = None,
        gradient_checkpointing: bool = False,
        nonfinite: str = "raise",
        revision: str | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        if found := list(module_problems(self.hparams)):
            raise InputError("\n".join(found))
        self.hparams["adam_betas"] = [float(beta) for beta in adam_betas]
        self.objective = Objective(
            name=objective,
            label_smoothing=label_smoothing,
            confidence_weighting=confidence_weighting,
        )
        self.network: PreTrainedModel | None = None
        self.guard = StepGuard(nonfinite)
        self._lora: dict[str, Any] | None = None
        self._base_model = model_name_or_path

    def setup(self, stage: str) -> None:
        """Let checkpoints be read safely and written whole, whatever trainer this is."""
        store_whole(self.trainer.strategy)
        read_whole(self.trainer.strategy)
        warn_of_slow_precision(self.trainer.precision, self.trainer.strategy.root_device)

    def configure_model(self) -> None:
        """Build the network once: from the checkpoint's weights, or from a config."""
        if self.network is not None:
            return
        network = self._build_network()
        self._lora = prepare(network, self.hparams)
        freeze_unused(network)
        self.network = network.train()
        if self.device_mesh is not None:
            shard(self.network, self.device_mesh.device_type)

    def _build_network(self) -> PreTrainedModel:
        settings = self.hparams
        name, revision = settings["model_name_or_path"], settings["revision"]
        config = network_settings(settings)
        check_attention(config, settings["attention"])
        if settings["gradient_checkpointing"]:
            check_checkpointing(config)
        tokenizer = getattr(getattr(self._trainer, "datamodule", None), "tokenizer", None)
        if tokenizer is not None:
            check_padding_side(config.model_type, tokenizer.padding_side)
        if settings["config"] is None:
            return load_network(name, revision)
        network = build_network(config)
        initialize(network, settings["initialization"])
        return network

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return start and end logits, each ``[b, l]``, of a batch of windows."""
        return span_logits(self._built(), batch)

    def _built(self) -> PreTrainedModel:
        if self.network is None:
            raise RuntimeError("call `configure_model()` before the first forward pass")
        return self.network

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the mean loss over the labelled windows, or documents, of the batch."""
        loss = self.objective.training_loss(batch, *self(batch))
        size = len(batch["input_ids"])
        self.log("train/loss", loss.detach(), prog_bar=True, batch_size=size)
        return self.guard.watch(loss, batch)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Log the learning rate that this batch's step will use."""
        self.log("train/learning_rate", base_rate(self.optimizers().param_groups[0]))  # type: ignore[union-attr]

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None
    ) -> None:
        """Make a step as Lightning does, and tell it at once if it was not finite."""
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        self.guard.settle(self, self._window_names, advice=self._way_back)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Log how many steps were not finite."""
        if self.guard.policy == "skip":
            self.log("train/skipped_steps", float(self.guard.skipped))

    def on_validation_start(self) -> None:
        """Refuse to score weights that training has spoilt."""
        if self.trainer.state.fn == TrainerFn.FITTING:
            self._check_training()

    def on_train_end(self) -> None:
        """Refuse to end well with weights that training has spoilt."""
        self._check_training()

    def _check_training(self) -> None:
        """Refuse weights that are not finite, or that the last step has ruined.

        A huge rate may leave weights that are finite, and of which nothing is any more that is
        computed from them: they have to read once more what that step learnt from.
        """
        alone = self._trainer is None  # in memory, for an answerer
        fitting = not alone and self.trainer.state.fn == TrainerFn.FITTING
        if fitting:
            names = self._window_names
            self.guard.settle(self, names, all_of_them=True, advice=self._way_back)
        check_weights(self, advice=self._way_back())
        if not fitting or self.guard.witness is None:
            return
        batch = {name: tensor.to(self.device) for name, tensor in self.guard.witness.items()}
        with self.trainer.precision_plugin.forward_context():
            reads = check_reading(self, lambda: self(batch), batch["attention_mask"])
        if not reads:
            raise InputError(
                f"Expected weights that still read what step {self.trainer.global_step} learnt "
                "from; they give NaN or infinity there, and no checkpoint is written of them. "
                "Training diverged: lower `model.learning_rate`, or set `trainer.gradient_clip_val`"
                f" or a `model.warmup_ratio`.{self._way_back()}"
            )

    def _way_back(self) -> str:
        return "" if self._trainer is None else way_back(self.trainer)

    def _window_names(self, windows: Sequence[int]) -> list[str]:
        """Return the ids of windows' examples; of another datamodule, the windows' numbers."""
        names = getattr(self.trainer.datamodule, "training_ids", None)  # type: ignore[attr-defined]
        return names(windows) if names else [f"window {index}" for index in windows]

    def validation_step(self, batch: Batch, batch_idx: int) -> WindowOutputs:
        """Return the logits and, where there are labels, the loss of each window.

        That loss is ``Objective.window_losses``: ``document`` has ``any_answer``'s here.
        """
        start_logits_bl, end_logits_bl = self(batch)
        labelled = "start_positions" in batch
        window_losses = self.objective.window_losses
        return WindowOutputs(
            start_logits_bl=start_logits_bl,
            end_logits_bl=end_logits_bl,
            loss_b=window_losses(batch, start_logits_bl, end_logits_bl) if labelled else None,
        )

    def test_step(self, batch: Batch, batch_idx: int) -> WindowOutputs:
        """Do as in validation."""
        return self.validation_step(batch, batch_idx)

    def predict_step(self, batch: Batch, batch_idx: int) -> WindowOutputs:
        """Return the logits of each window."""
        return self.validation_step(batch, batch_idx)

    def configure_callbacks(self) -> list[Callback]:
        """Return what makes a training go on exactly, whoever trains it."""
        return [ExactResume()]

    def configure_optimizers(self) -> Any:
        """Return AdamW without decay on biases and norms, and a schedule that moves every step."""
        settings = self.hparams
        keys = ("learning_rate", "weight_decay", "head_learning_rate", "layer_decay")
        optimizer = torch.optim.AdamW(
            parameter_groups(
                self, backbone=self._built().base_model, **{key: settings[key] for key in keys}
            ),
            lr=settings["learning_rate"],
            betas=tuple(settings["adam_betas"]),
            fused=self._fused(),
        )
        steps = self._schedule_steps()
        schedule = get_scheduler(
            settings["lr_schedule"],
            optimizer,
            num_warmup_steps=int(steps * settings["warmup_ratio"]),
            num_training_steps=steps,
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _schedule_steps(self) -> int:
        """Return over how many optimizer steps the rate runs to its end."""
        if (given := self.hparams["schedule_steps"]) is not None:
            return int(given)
        steps = self.trainer.estimated_stepping_batches
        if steps != float("inf"):
            return int(steps)
        for told in schedule_problems(self.hparams):
            raise InputError(told)
        return 1  # whatever it is, this schedule does not look at it

    def on_train_start(self) -> None:
        """Take up a rate that was found or set since the optimizer was made."""
        for each in self.trainer.lr_scheduler_configs:
            follow_rate(each.scheduler, self.hparams["learning_rate"])

    def _fused(self) -> bool:
        # Under 16-bit mixed precision the fused kernel un-scales the gradients itself, after
        # clipping would have seen them scaled.
        return self.trainer.precision != "16-mixed"

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by the global norm, or by value, and log the norm before it.

        Ours since Lightning's refuses to clip for a fused optimizer under mixed precision.
        """
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        if gradient_clip_algorithm == "value" and gradient_clip_val:
            norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
            nn.utils.clip_grad_value_(parameters, gradient_clip_val)
        else:
            norm = nn.utils.clip_grad_norm_(parameters, gradient_clip_val or float("inf"))
        norm = whole(norm)
        self.log("train/gradient_norm", norm)
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        step = self.trainer.global_step + 1
        self.guard.judge(optimizer, norm, step=step, scaled=scaler is not None)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the network's config in place of the Hub id: the checkpoint needs no network.

        Raises:
            InputError: training has spoilt the weights; nothing is written over a good
                checkpoint.
        """
        if self.network is None:
            return
        if "loops" in checkpoint:  # a trainer's, which all processes write together
            self._check_training()
        else:
            check_weights(self)
        checkpoint["base_model"] = self._base_model
        checkpoint["nonfinite_steps"] = self.guard.state_dict()
        hyper_parameters = dict(checkpoint.get("hyper_parameters", {}))
        hyper_parameters.update(
            config=plain_config(self.network.config),
            model_name_or_path=None,
            revision=None,
            initialization="default",
            lora=self._lora,
        )
        checkpoint["hyper_parameters"] = hyper_parameters

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Build the network before its weights arrive, and see that they are its own.

        Raises:
            InputError: weights are missing, foreign, of another shape, or not finite.
        """
        self.configure_model()
        self._base_model = self._base_model or checkpoint.get("base_model")
        if "nonfinite_steps" in checkpoint:
            self.guard.load_state_dict(checkpoint["nonfinite_steps"])
        weights = checkpoint.get("state_dict")
        problems = list(weight_problems(weights, self.state_dict())) if weights else []
        if problems:
            raise InputError(
                f"Expected a checkpoint with the weights of this network; {'; '.join(problems)}. "
                "Name another checkpoint."
            )

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *args: Any, **options: Any) -> Any:
        """Load as Lightning does, but run nothing that a file holds.

        Args:
            checkpoint_path: a checkpoint's file on this machine.
            args: Lightning's own, in its order: ``map_location``, ``hparams_file``, ``strict``.
            options: those by name, and this class's arguments in place of the checkpoint's.

        Raises:
            InputError: it is no checkpoint, or its values do not fit.
        """
        read_saved(checkpoint_path)
        path = local_file(checkpoint_path)
        try:
            return super().load_from_checkpoint(path, *args, **{**options, "weights_only": True})
        except InputError:
            raise
        except Exception as error:  # whatever comes of a value of the wrong type
            raise InputError(
                f"Expected a checkpoint written by `lightning fit` at {path}; it cannot be used: "
                f"{reason(error)}. Name another."
            ) from error


def module_problems(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence for each argument of `QAModule` that cannot work."""
    if (settings["model_name_or_path"] is None) == (settings["config"] is None):
        both = settings["config"] is not None
        yield (
            "Expected exactly one of `model.model_name_or_path` (a checkpoint to fine-tune) and "
            f"`model.config` (a network from scratch); got {'both' if both else 'neither'}. "
            + ("Set one of them to null." if both else "Set one of them.")
        )
    if settings["config"] is None and settings["initialization"] == "matching":
        yield (
            "Expected `model.initialization` default with a checkpoint, which brings its own "
            "weights; got 'matching'. It is for networks built from `model.config`."
        )
    yield from problems(RULES, settings, prefix="model.")
    yield from machine_problems(settings["attention"])
    yield from objective_problems(settings)
    yield from adapter_problems(settings["lora"])
