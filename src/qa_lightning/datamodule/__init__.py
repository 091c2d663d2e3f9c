"""The LightningDataModule: drives examples → alignment → features → batches."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, cast

import datasets
import numpy as np
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch.utils.data import DataLoader, Dataset, DistributedSampler
from transformers import PreTrainedTokenizerBase

from qa_lightning.alignment import DEFAULT_THRESHOLD, AlignmentAudit
from qa_lightning.answerer import BlockPlan, prediction_loader
from qa_lightning.batches import (
    DocumentDataset,
    DocumentSampler,
    EvaluationSampler,
    LengthGroupedSampler,
    WindowCollator,
    WindowDataset,
)
from qa_lightning.cache import DEFAULT_ENTRIES, DEFAULT_GIB, Cache, cache_folder
from qa_lightning.datamodule.preparation import (
    AlignmentSettings,
    Preparation,
    Source,
    SourceSettings,
    SplitRole,
    prepare_splits,
)
from qa_lightning.datamodule.prepared import PreparedSplit, unheld_message
from qa_lightning.datamodule.settings import data_problems
from qa_lightning.datamodule.tokenizers import (
    load_tokenizer,
    tokenizer_files,
    tokenizer_from_files,
)
from qa_lightning.demo import demo_tokenizer
from qa_lightning.errors import InputError
from qa_lightning.examples import MemorySource
from qa_lightning.features import Separators, WindowSettings, separators_in_training
from qa_lightning.resuming import ResumableLoader, leave_signals_to_parent, seeded_generator
from qa_lightning.screening import Screen
from qa_lightning.screening.examples import screened_windows

__all__ = [
    "QADataModule",
    "SplitRole",
    "data_problems",
    "load_tokenizer",
    "tokenizer_files",
    "tokenizer_from_files",
]

IN_MEMORY = ("train", "validation", "test", "predict")
"""Arguments that hold data itself: they are no keys of a configuration."""
STAGE_SPLITS = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}
STAGE_SPLITS["predict"] = ("predict",)


class QADataModule(LightningDataModule):
    """Turn questions on documents into batches of windows.

    After ``setup("fit")``: ``train_features``, ``val_features``, ``train_examples``,
    ``val_examples`` (``datasets.Dataset``) and ``alignment_audit`` (of the training split).

    Data in memory is given by ``train``, ``validation``, ``test`` and ``predict``, or as
    ``dataset``, in any shape that files may have: a ``datasets.Dataset``, a pandas or polars
    frame, an Arrow table, a list of dicts, what ``json.load`` gives of a SQuAD file, or a path.
    It is checked, repaired, cut and cached as files are, and never enters hyper-parameters,
    checkpoints or trackers; the hash of its content does, as ``in_memory``.

    Args:
        dataset: Hub id, a data file, a folder, or ``demo`` (generated, embedded); from Python also
            a ``DatasetDict`` or ``{split: data in memory}``.
        train: data in memory to train on (split ``train``).
        validation: data in memory to validate on (split ``validation``).
        test: data in memory for ``test`` (split ``test``).
        predict: data in memory for ``predict`` (split ``predict``); needs no answers.
        dataset_config: configuration of the Hub data set.
        revision: branch, tag or commit of the Hub data set.
        data_files: ``{split: path or list of paths}``, in place of ``dataset``.
        train_split: split to train on; slices as ``train[:5%]`` work for local files too.
        val_split: split to validate on.
        test_split: split for ``test``.
        predict_split: split for ``predict``; needs no answers.
        columns: canonical column name to the name in the data.
        skip_unreadable: leave out documents (PDF and the like, which questions are asked of) that
            cannot be read, and tell which; else they are refused, all at once.
        language: ISO code of the data's language; adds its rules to alignment and scores.
        tokenizer: Hub id, folder, or a fast tokenizer; None is the model's (command line) or
            the demo's.
        tokenizer_revision: branch, tag or commit of the tokenizer.
        max_length: tokens of a window, question and separators included.
        doc_stride: tokens that neighbouring windows share.
        max_question_length: longer questions are cut to this many tokens.
        separators: ``auto`` (as the tokenizer joins pairs; 2 where it puts nothing between
            them), 2 or 3 in a row.
        token_types: pass token types (0 question, 1 context); a model with a single type ignores
            them.
        global_attention: which tokens attend globally: ``question`` (with the no-answer token),
            ``question_only``, ``cls``, or a list of columns of every window, from 0 (``[]``: none).
        alignment: policy for answers that are not where they should be: ``repair``, ``drop``,
            ``no_answer``, ``keep`` or ``strict``.
        alignment_threshold: confidence from which a repaired span is trusted, 0 to 1.
        negative_windows: share, 0 to 1, of training windows without the answer that are kept.
        batch_size: windows per batch and process in training; documents with
            ``group_by_document``.
        eval_batch_size: windows per batch and process in evaluation; None is twice ``batch_size``.
        pad_to: ``longest`` of the batch, or ``max_length``.
        group_by_length: draw training batches from windows, or documents, of like length, which
            need little padding.
        all_gold_spans: give batches the places of all gold spans, not of the first alone, and
            count windows with any of them as windows with the answer; for the objectives
            ``any_answer`` and ``document``. None is False (the command line fills in what the
            objective needs).
        group_by_document: draw training batches of whole documents, all windows of a question,
            for the objective ``document``. ``batch_size`` then counts documents: every batch has
            as many, which is what makes their mean exact over processes and accumulated batches.
            None as for ``all_gold_spans``.
        windows_per_document: with ``group_by_document``, at most so many windows of a document
            are in a batch, which therefore has at most ``batch_size`` times as many: those with
            an answer, and others drawn anew in every epoch.
        num_workers: processes that collate batches; collating is cheap, 0 is right mostly.
        num_proc: processes that align answers.
        cache_dir: where prepared data is kept; None is ``qa_lightning`` in the datasets' cache.
        cache_entries: more prepared splits than these are not kept there: those that were not used
            for longest go, those in use never.
        cache_gib: likewise for their size, in GiB of 2^30 bytes.
        seed: of the order and of sampled windows; None is 0 (the command line fills in
            ``seed_everything``).
        in_memory: hash of each split that was given in memory, filled in; a configuration that
            holds it cannot be run without the data.

    Raises:
        InputError: values that cannot work, all told at once.
    """

    def __init__(
        self,
        dataset: str | Mapping[str, object] = "demo",
        *,
        train: object = None,
        validation: object = None,
        test: object = None,
        predict: object = None,
        dataset_config: str | None = None,
        revision: str | None = None,
        data_files: dict[str, str | list[str]] | None = None,
        train_split: str = "train",
        val_split: str = "validation",
        test_split: str | None = None,
        predict_split: str | None = None,
        columns: dict[str, str] | None = None,
        skip_unreadable: bool = False,
        language: str | None = None,
        tokenizer: str | PreTrainedTokenizerBase | None = None,
        tokenizer_revision: str | None = None,
        max_length: int = 384,
        doc_stride: int = 128,
        max_question_length: int = 64,
        separators: int | str = "auto",
        token_types: bool = True,
        global_attention: list[int] | str = "question",
        alignment: str = "repair",
        alignment_threshold: float = DEFAULT_THRESHOLD,
        negative_windows: float = 1.0,
        batch_size: int = 2,
        eval_batch_size: int | None = None,
        pad_to: str = "longest",
        group_by_length: bool = True,
        all_gold_spans: bool | None = None,
        group_by_document: bool | None = None,
        windows_per_document: int = 8,
        num_workers: int = 0,
        num_proc: int | None = None,
        cache_dir: str | None = None,
        cache_entries: int = DEFAULT_ENTRIES,
        cache_gib: float = DEFAULT_GIB,
        seed: int | None = None,
        in_memory: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._tokenizer_object = tokenizer if not isinstance(tokenizer, str | None) else None
        if isinstance(self._tokenizer_object, PreTrainedTokenizerBase):
            tokenizer = self._tokenizer_object.name_or_path or None
        given = {"train": train, "validation": validation, "test": test, "predict": predict}
        memory = memory_source(dataset, given, data_files=data_files)
        dataset = dataset if isinstance(dataset, str) else "demo"
        self.save_hyperparameters(logger=False, ignore=IN_MEMORY)
        self.hparams["tokenizer"] = tokenizer
        self._memory: MemorySource | None = None
        if memory is not None:
            self.hold(memory)
        if found := list(data_problems(self.hparams)):
            raise InputError("\n".join(found))
        self._splits: dict[str, PreparedSplit] = {}
        self.prediction_plan: BlockPlan | None = None
        """Which questions ``predict`` has still to answer; ``PredictionWriter`` sets it."""
        self.prediction_screen: Screen = "all"
        """How many windows of each ``predict`` reads; ``PredictionWriter`` sets it."""
        self._unscreened: dict[str, PreparedSplit] = {}

    def hold(self, memory: MemorySource) -> None:
        """Take data in memory in place of ``dataset``; hyper-parameters keep its hash alone.

        Raises:
            InputError: it is not the data of ``in_memory``.
        """
        known, hashes = self.hparams["in_memory"] or {}, memory.hashes()
        other = sorted(name for name in hashes if known.get(name, hashes[name]) != hashes[name])
        if other:
            raise InputError(
                "Expected the data in memory that `data.in_memory` names by its hash; the content "
                f"of {', '.join(other)} differs. Give the same data, or leave `data.in_memory` out "
                "(`load_from_checkpoint(..., in_memory=None)`)."
            )
        self._memory = memory
        self.hparams["in_memory"] = hashes
        for name in ("test", "predict"):
            if self.hparams[f"{name}_split"] is None and name in hashes:
                self.hparams[f"{name}_split"] = name

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Return the tokenizer, loaded at first use."""
        if self._tokenizer_object is not None:
            return self._tokenizer_object
        name = self.hparams["tokenizer"]
        if name is not None:
            return load_tokenizer(name, revision=self.hparams["tokenizer_revision"])
        if self._source().source == "demo":
            return demo_tokenizer(seed=self._seed)
        model = self._model_name()
        if model is not None:
            return load_tokenizer(model[0], revision=model[1])
        raise InputError(
            "Expected `tokenizer` (`data.tokenizer`): a Hub id, a folder or a fast tokenizer; got "
            "none, and no trainer with a model that was loaded by a name, whose tokenizer it would "
            "be."
        )

    def _model_name(self) -> tuple[str, str | None] | None:
        """Return name and revision of the checkpoint that the trainer's model starts from."""
        module = self.trainer.lightning_module if self.trainer else None
        settings = getattr(module, "hparams", {})
        name = settings.get("model_name_or_path")
        return (str(name), settings.get("revision")) if name is not None else None

    def prepare_data(self) -> None:
        """Read, align and tokenize on one process, into the cache."""
        trainer = self.trainer
        stage = trainer.state.fn.value if trainer and trainer.state.fn else "fit"
        self._prepare(STAGE_SPLITS[stage])

    def _prepare(self, names: Sequence[str]) -> dict[str, PreparedSplit]:
        # Who wants no bars of a trainer wants none before it.
        bars = False if self.trainer and self.trainer.progress_bar_callback is None else None
        return prepare_splits({name: self._preparation(name) for name in names}, bars=bars)

    def setup(self, stage: str) -> None:
        """Map the prepared splits of a stage into memory."""
        missing = [name for name in STAGE_SPLITS[stage] if name not in self._splits]
        self._splits |= self._prepare(missing)
        for name in missing:
            told = unheld_message(f"{name}_split", self._splits[name], self._windows())
            if told is not None:
                rank_zero_warn(told)

    def screen(self, name: str, screen: Screen) -> None:
        """Leave out the windows of a split that are not worth reading.

        Args:
            name: ``val`` or ``test``; it has been set up.
            screen: windows to read of each question.
        """
        whole = self._unscreened.setdefault(name, self._splits[name])
        chosen_w = screened_windows(
            whole.examples,
            self.tokenizer,
            self._windows(),
            screen=screen,
            language=self.hparams["language"],
        )
        rank_zero_info(
            f"`evaluation.screen` {screen}: {chosen_w.sum():,} of the {len(chosen_w):,} windows of "
            f"{len(whole.examples):,} questions are read."
        )
        features = cast(datasets.Dataset, whole.features).select(np.flatnonzero(chosen_w))
        self._splits[name] = replace(whole, features=features)

    def _preparation(self, name: str) -> Preparation:
        settings = self.hparams
        split = settings[f"{name}_split"]
        if split is None:
            raise InputError(
                f"Expected `data.{name}_split` to name a split to {STAGE_OF[name]}; got none. "
                f"Set it, or use `validate` for the validation split ({settings['val_split']!r})."
            )
        return Preparation(
            SplitRole(split, training=name == "train", labels=name != "predict"),
            source=self._source(),
            alignment=AlignmentSettings(
                settings["alignment"], settings["alignment_threshold"], settings["language"]
            ),
            windows=self._windows(),
            tokenizer=self.tokenizer,
            cache=Cache(
                cache_folder(settings["cache_dir"]),
                most_entries=settings["cache_entries"],
                most_gib=settings["cache_gib"],
            ),
            num_proc=settings["num_proc"],
        )

    @property
    def _seed(self) -> int:
        return self.hparams["seed"] or 0

    def _source(self) -> SourceSettings:
        settings = self.hparams
        if self._memory is None and settings["in_memory"]:
            raise InputError(
                "Expected the data that this configuration was run with: it was in memory "
                f"({', '.join(settings['in_memory'])}), and only its hash is kept. Give it by "
                "`qa_lightning.fit(train=..., validation=...)`, or name files in `data.data_files` "
                "and set `data.in_memory` to null. (`fit(..., keep_data=True)` keeps it.)"
            )
        source: Source = self._memory or settings["data_files"] or settings["dataset"]
        return SourceSettings(
            source=source,
            dataset_config=settings["dataset_config"],
            revision=settings["revision"],
            columns=settings["columns"],
            cache_dir=settings["cache_dir"],
            seed=self._seed,
            skip_unreadable=settings["skip_unreadable"],
        )

    def _windows(self) -> WindowSettings:
        settings = self.hparams
        return WindowSettings(
            max_length=settings["max_length"],
            doc_stride=settings["doc_stride"],
            max_question_length=settings["max_question_length"],
            separators=self._separators,
            negative_windows=settings["negative_windows"],
            # Without sampling it changes no window: then it is no reason to prepare anew.
            all_gold_spans=bool(settings["all_gold_spans"]) and settings["negative_windows"] < 1,
            unaligned="no_answer" if settings["alignment"] == "no_answer" else "ignore",
            seed=self._seed,
        )

    @cached_property
    def _separators(self) -> Separators:
        return separators_in_training(self.tokenizer, self.hparams["separators"])

    def split(self, name: str) -> PreparedSplit:
        """Return a prepared split: ``train``, ``val``, ``test`` or ``predict``."""
        return self._splits[name]

    @property
    def train_features(self) -> datasets.Dataset:
        """Return the training windows."""
        return self._splits["train"].features

    @property
    def val_features(self) -> datasets.Dataset:
        """Return the validation windows; the row number is the window's ``feature_index``."""
        return self._splits["val"].features

    @property
    def train_examples(self) -> datasets.Dataset:
        """Return the training examples with their column ``spans``."""
        return self._splits["train"].examples

    def training_ids(self, windows: Sequence[int]) -> list[str]:
        """Return the ids of the examples that training windows, by ``feature_index``, are of."""
        examples = self.train_features[list(windows)]["example_index"]
        return list(self.train_examples[list(examples)]["id"])

    @property
    def val_examples(self) -> datasets.Dataset:
        """Return the validation examples, none left out."""
        return self._splits["val"].examples

    @property
    def alignment_audit(self) -> AlignmentAudit | None:
        """Return what alignment did to the training split."""
        return self._splits["train"].audit

    def train_dataloader(self) -> DataLoader[Any]:
        """Return batches of training windows, or of whole documents."""
        settings = self.hparams
        windows = WindowDataset(self.train_features)
        batch_size, lengths = settings["batch_size"], windows.lengths()
        if settings["group_by_document"]:
            if settings["negative_windows"] < 1:
                rank_zero_warn(
                    "Expected all windows of a document with `data.group_by_document`; "
                    f"`data.negative_windows` of {settings['negative_windows']} leaves some out "
                    "for good. Set it to 1; `data.windows_per_document` bounds a batch."
                )
            documents = DocumentDataset(
                windows, windows_per_document=settings["windows_per_document"], seed=self._seed
            )
            sampler = DocumentSampler(
                documents.lengths(),
                batch_size=batch_size,
                group_by_length=settings["group_by_length"],
                **self._ranks(),
            )
            return self._loader(documents, sampler, batch_size, kind=ResumableLoader)
        if settings["group_by_length"]:
            grouped = LengthGroupedSampler(lengths, batch_size=batch_size, **self._ranks())
            return self._loader(windows, grouped, batch_size, kind=ResumableLoader)
        shuffled: DistributedSampler[Any] = DistributedSampler(
            windows, shuffle=True, **self._ranks()
        )
        return self._loader(windows, shuffled, batch_size, kind=ResumableLoader)

    def val_dataloader(self) -> DataLoader[Any]:
        """Return batches of validation windows."""
        return self._evaluation_loader("val")

    def test_dataloader(self) -> DataLoader[Any]:
        """Return batches of test windows."""
        return self._evaluation_loader("test")

    def predict_dataloader(self) -> DataLoader[Any]:
        """Return batches of this process's share of the questions, cut into windows on the way."""
        return prediction_loader(
            self._splits["predict"].examples,
            self.tokenizer,
            settings=self._windows(),
            collator=self.collator(),
            plan=self.prediction_plan,
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=self.trainer.world_size if self.trainer else 1,
            batch_size=self._eval_batch_size(),
            num_workers=self.hparams["num_workers"],
            pin_memory=self._on_cuda(),
            screen=self.prediction_screen,
            language=self.hparams["language"],
        )

    def _eval_batch_size(self) -> int:
        return int(self.hparams["eval_batch_size"] or 2 * self.hparams["batch_size"])

    def _evaluation_loader(self, name: str) -> DataLoader[Any]:
        windows = WindowDataset(self._splits[name].features, borders=True)
        batch_size = self._eval_batch_size()
        sampler = EvaluationSampler(windows.lengths(), batch_size=batch_size, **self._ranks())
        return self._loader(windows, sampler, batch_size)

    def _loader(
        self,
        dataset: Dataset[Any],
        sampler: DistributedSampler[Any],
        batch_size: int,
        *,
        kind: type[DataLoader[Any]] = DataLoader,
    ) -> DataLoader[Any]:
        workers = self.hparams["num_workers"]
        return kind(
            dataset,
            batch_size=batch_size,
            sampler=sampler,
            collate_fn=self.collator(),
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=self._on_cuda(),
            worker_init_fn=leave_signals_to_parent,
            generator=seeded_generator(self._seed),
        )

    def _on_cuda(self) -> bool:
        return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"

    def collator(self) -> WindowCollator:
        """Return what turns windows into the tensors of a batch."""
        settings = self.hparams
        return WindowCollator.for_tokenizer(
            self.tokenizer,
            pad_to=settings["pad_to"],
            max_length=settings["max_length"],
            token_types=settings["token_types"],
            global_attention=settings["global_attention"],
            all_gold_spans=bool(settings["all_gold_spans"]),
        )

    def _ranks(self) -> dict[str, Any]:
        """Return the samplers' arguments that say which part of the order is this process's."""
        return {
            "num_replicas": self.trainer.world_size if self.trainer else 1,
            "rank": self.trainer.global_rank if self.trainer else 0,
            "seed": self._seed,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs to cut windows again, offline."""
        settings = self.hparams
        return {
            "tokenizer_files": tokenizer_files(self.tokenizer),
            **{key: settings[key] for key in ("max_length", "doc_stride", "max_question_length")},
            "separators": self._separators,
            "token_types": settings["token_types"],
            "global_attention": settings["global_attention"],
            "language": settings["language"],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep what the arguments say: the command line merges a checkpoint's before it builds."""


def memory_source(
    dataset: object, given: Mapping[str, object], *, data_files: object
) -> MemorySource | None:
    """Return the source of data in memory; None where a name or files are given.

    Raises:
        InputError: both are given, or data of no readable shape.
    """
    splits = {name: data for name, data in given.items() if data is not None}
    named = ["data_files"] if data_files is not None else []
    named += [] if isinstance(dataset, str) and dataset == "demo" else ["dataset"]
    if splits and named:
        raise InputError(
            f"Expected either `{named[0]}` or data in memory; got `{named[0]}` beside "
            f"{', '.join(f'`{name}`' for name in splits)}. Leave one out."
        )
    if isinstance(dataset, str):
        return MemorySource(splits) if splits else None
    if not isinstance(dataset, Mapping) or len(dataset) == 0:
        found = "no split" if isinstance(dataset, Mapping) else f"a {type(dataset).__name__}"
        raise InputError(
            f"Expected `dataset` to be a name or {{split: data}}; got {found}. Data in memory is "
            "given by its split's name: `QADataModule(train=..., validation=...)`."
        )
    return MemorySource({str(name): data for name, data in dataset.items()})


STAGE_OF = {"train": "fit", "val": "validate", "test": "test", "predict": "predict"}
