"""The LightningModule: tensors in, losses and logits out; it never sees text."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypedDict

import torch
from huggingface_hub.errors import StrictDataclassError
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    LongformerConfig,
    LongformerForQuestionAnswering,
    get_scheduler,
)

from qa_lightning.attention import use_windowed_attention
from qa_lightning.errors import InputError
from qa_lightning.initialization import INITIALIZATIONS, initialize
from qa_lightning.objectives import Objective, objective_problems

ATTENTIONS = ("windowed", "reference")
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


class WindowOutputs(TypedDict):
    """What a validation or test step returns for the windows of its batch.

    ``loss_b`` is absent in prediction and where the batch has no labels.
    """

    start_logits_bl: Tensor
    end_logits_bl: Tensor
    loss_b: Tensor | None


class QAModule(LightningModule):
    """Wrap `LongformerForQuestionAnswering`: AdamW, schedule, objective, checkpoint.

    Exactly one of ``model_name_or_path`` and ``config`` is given. The network is built in
    ``configure_model``, in float32 and in training mode (``from_pretrained`` returns evaluation
    mode, and ``Trainer.fit`` keeps it so: dropout would be off).

    Args:
        model_name_or_path: Hub id or folder of a Longformer checkpoint.
        config: keys of ``LongformerConfig``, for a network built from scratch.
        initialization: how a network built from ``config`` starts: ``default`` (transformers')
            or ``matching`` (see ``qa_lightning.initialization``).
        attention: ``windowed`` (exact and fast) or ``reference`` (transformers' own).
        objective: ``first_answer``, ``any_answer`` or ``document`` (see
            ``qa_lightning.objectives``); the latter two need ``all_gold_spans`` of
            ``QADataModule``, and ``document`` its ``group_by_document``.
        label_smoothing: share of the target, 0 to below 1, that is spread over all tokens of a
            window; for ``first_answer`` alone.
        confidence_weighting: weigh training windows (documents under ``document``) by the
            confidence with which alignment placed their answer; 1 where it stands exactly.
        learning_rate: peak learning rate of AdamW.
        weight_decay: AdamW's decay of matrices; biases and norms have none.
        adam_betas: AdamW's decay rates of the two moments.
        warmup_ratio: share of all optimizer steps, 0 to 1, in which the rate rises from zero.
        lr_schedule: one of ``LR_SCHEDULES``.
        gradient_checkpointing: recompute activations in the backward pass (non-reentrant).
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
        weight_decay: float = 0.01,
        adam_betas: tuple[float, float] = (0.9, 0.999),
        warmup_ratio: float = 0.0,
        lr_schedule: str = "linear",
        gradient_checkpointing: bool = False,
        revision: str | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        self.hparams["adam_betas"] = [float(beta) for beta in adam_betas]
        problems = list(module_problems(self.hparams))
        if problems:
            raise InputError("\n".join(problems))
        self.objective = Objective(
            name=objective,
            label_smoothing=label_smoothing,
            confidence_weighting=confidence_weighting,
        )
        self.network: LongformerForQuestionAnswering | None = None

    def configure_model(self) -> None:
        """Build the network once: from the checkpoint's weights, or from a config."""
        if self.network is not None:
            return
        network = self._build_network()
        if self.hparams["attention"] == "windowed":
            use_windowed_attention(network)
        if self.hparams["gradient_checkpointing"]:
            network.gradient_checkpointing_enable(  # type: ignore[no-untyped-call]
                gradient_checkpointing_kwargs={"use_reentrant": False}
            )
        self.network = network.train()

    def _build_network(self) -> LongformerForQuestionAnswering:
        settings = self.hparams
        if settings["config"] is not None:
            network = _untrained(longformer_config(settings["config"]))
            initialize(network, settings["initialization"])
            return network
        name, revision = settings["model_name_or_path"], settings["revision"]
        pretrained_config(name, revision)
        try:
            return LongformerForQuestionAnswering.from_pretrained(
                name, revision=revision, dtype=torch.float32
            )
        except OSError as error:
            raise _not_loadable(name, error) from error

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return start and end logits, each ``[b, l]``, of a batch of windows."""
        if self.network is None:
            raise RuntimeError("call `configure_model()` before the first forward pass")
        keys = ["input_ids", "attention_mask", "global_attention_mask"]
        if self.network.config.type_vocab_size > 1:
            keys.append("token_type_ids")
        inputs = {key: batch[key] for key in keys if key in batch}
        outputs = self.network(**inputs)
        return outputs.start_logits, outputs.end_logits

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the mean loss over the labelled windows, or documents, of the batch."""
        loss = self.objective.training_loss(batch, *self(batch))
        size = len(batch["input_ids"])
        self.log("train/loss", loss.detach(), prog_bar=True, batch_size=size)
        return loss

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Log the learning rate that this batch's step will use."""
        self.log("train/learning_rate", self.optimizers().param_groups[0]["lr"])  # type: ignore[union-attr]

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

    def configure_optimizers(self) -> Any:
        """Return AdamW without decay on biases and norms, and a schedule that moves every step."""
        settings = self.hparams
        optimizer = torch.optim.AdamW(
            decay_groups(self, settings["weight_decay"]),
            lr=settings["learning_rate"],
            betas=tuple(settings["adam_betas"]),
            fused=self._fused(),
        )
        steps = int(self.trainer.estimated_stepping_batches)
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

    def _fused(self) -> bool:
        # Under 16-bit mixed precision the fused kernel un-scales the gradients itself, after
        # clipping would have seen them scaled.
        return not str(self.trainer.precision).startswith("16")

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
        self.log("train/gradient_norm", norm)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the network's config in place of the Hub id: the checkpoint needs no network."""
        if self.network is None:
            return
        hyper_parameters = dict(checkpoint.get("hyper_parameters", {}))
        hyper_parameters.update(
            config=plain_config(self.network.config),
            model_name_or_path=None,
            revision=None,
            initialization="default",
        )
        checkpoint["hyper_parameters"] = hyper_parameters

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Build the network before its weights arrive (``load_from_checkpoint`` does not)."""
        self.configure_model()


def _untrained(config: LongformerConfig) -> LongformerForQuestionAnswering:
    try:
        return LongformerForQuestionAnswering(config)
    except _UNBUILDABLE as error:
        raise _not_buildable(error) from error


# What transformers raises for a head count of zero, an unknown activation, a size in words, …
_UNBUILDABLE = (
    ArithmeticError,
    AssertionError,
    LookupError,
    RuntimeError,
    StrictDataclassError,
    TypeError,
    ValueError,
)


def _not_buildable(error: Exception) -> InputError:
    reason = " ".join(str(error).split())
    if isinstance(error, ArithmeticError | LookupError):
        reason = f"{type(error).__name__}: {reason}"
    return InputError(
        f"Expected `model.config` to describe a Longformer; it cannot be built: {reason}. Mend "
        "the value that this names."
    )


def module_problems(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence for each argument of `QAModule` that cannot work."""
    if (settings["model_name_or_path"] is None) == (settings["config"] is None):
        both = settings["config"] is not None
        yield (
            "Expected exactly one of `model.model_name_or_path` (a checkpoint to fine-tune) and "
            f"`model.config` (a Longformer from scratch); got {'both' if both else 'neither'}. "
            + ("Set one of them to null." if both else "Set one of them.")
        )
    choices: dict[str, Iterable[str]] = {
        "attention": ATTENTIONS,
        "initialization": INITIALIZATIONS,
        "lr_schedule": LR_SCHEDULES,
    }
    for key, allowed in choices.items():
        if settings[key] not in allowed:
            known = ", ".join(allowed)
            yield f"Expected `model.{key}` to be one of {known}; got {settings[key]!r}."
    yield from objective_problems(settings)
    if not settings["learning_rate"] > 0:
        yield f"Expected `model.learning_rate` above 0; got {settings['learning_rate']}."
    if not settings["weight_decay"] >= 0:
        yield f"Expected `model.weight_decay` of at least 0; got {settings['weight_decay']}."
    if not all(0 <= beta < 1 for beta in settings["adam_betas"]):
        yield (
            "Expected `model.adam_betas` to be two numbers from 0 to below 1; "
            f"got {list(settings['adam_betas'])}."
        )
    if not 0 <= settings["warmup_ratio"] <= 1:
        yield f"Expected `model.warmup_ratio` between 0 and 1; got {settings['warmup_ratio']}."


def longformer_config(settings: Mapping[str, Any]) -> LongformerConfig:
    """Build a `LongformerConfig` from plain values.

    Raises:
        InputError: a key that `LongformerConfig` does not know (it would be stored and ignored),
            or a value of the wrong type.
    """
    reference = LongformerConfig()
    unknown = sorted(key for key in settings if not hasattr(reference, key))
    if unknown:
        raise InputError(
            f"Expected `model.config` to hold keys of transformers' LongformerConfig; "
            f"{', '.join(unknown)} is none. See its documentation for their names."
        )
    try:
        return LongformerConfig(**dict(settings))
    except _UNBUILDABLE as error:
        raise _not_buildable(error) from error


def pretrained_config(name: str, revision: str | None = None) -> LongformerConfig:
    """Load the config of a Longformer checkpoint.

    Raises:
        InputError: there is none of that name, or it is of another kind of model.
    """
    try:
        config = AutoConfig.from_pretrained(name, revision=revision)
    except (OSError, ValueError) as error:
        raise _not_loadable(name, error) from error
    if isinstance(config, LongformerConfig):
        return config
    raise InputError(
        f"Expected `model.model_name_or_path` to be a Longformer; {name!r} is a "
        f"{config.model_type!r} model. Turn a BERT or RoBERTa into one: "
        f"`qa-lightning longify {name} --output DIR`."
    )


def _not_loadable(name: str, error: Exception) -> InputError:
    return InputError(
        "Expected `model.model_name_or_path` to be a folder with a checkpoint or a Hub id; "
        f"{name!r} could not be loaded: {str(error).splitlines()[0]}"
    )


def plain_config(config: LongformerConfig) -> dict[str, Any]:
    """Return what differs from `LongformerConfig`'s defaults, as plain Python values."""
    ignored = {"model_type", "transformers_version", "_name_or_path", "dtype", "torch_dtype"}
    reference = LongformerConfig()
    return {
        key: value
        for key, value in config.to_diff_dict().items()
        if key not in ignored and hasattr(reference, key)
    }


def decay_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Split trainable parameters into matrices, which decay, and biases and norms, which do not."""
    trainable = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]
