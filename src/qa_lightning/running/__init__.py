"""Training from Python: one call that does what ``lightning fit`` does, on data in memory.

The command line's own parser, checks and callbacks are used, so that both ways give the same run
folder, the same messages and the same bits.
"""

import re
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any, Final

import yaml
from lightning.pytorch import Callback, Trainer

from qa_lightning.alignment import AlignmentAudit
from qa_lightning.answerer import QuestionAnswerer
from qa_lightning.answers import AnsweredQuestions
from qa_lightning.cli.training import QALightningCLI, run
from qa_lightning.datamodule import QADataModule
from qa_lightning.errors import InputError
from qa_lightning.examples import MemorySource, load_examples
from qa_lightning.reports.run import REPORT, run_page
from qa_lightning.reports.writing import write_whole
from qa_lightning.resuming import Interrupted
from qa_lightning.running.settings import check_keys, check_splits, model_keys, nested, set_key

_SHOWN: Final = ("loss", "exact_match", "f1")

Name = str | PathLike[str]


@dataclass(frozen=True)
class Run:
    """Hold what a training gave, and where it lies.

    Attributes:
        folder: the run's folder: configuration, checkpoints, answers, reports.
        scores: of the last whole validation, by their official names, 0 to 100; empty if none was.
        answers: of that validation, a record a question; None if there was none.
        audit: what alignment did to the training labels.
    """

    folder: Path
    scores: Mapping[str, float]
    answers: AnsweredQuestions | None = field(repr=False)
    audit: AlignmentAudit | None = field(repr=False)

    def answerer(self) -> QuestionAnswerer:
        """Return what answers questions with the best checkpoint, or the last without a best."""
        return QuestionAnswerer.from_checkpoint(self.folder)

    def report(self, output: Name | None = None) -> Path:
        """Write the page about the run anew, as ``qa-lightning report`` does; return its place.

        Args:
            output: the file; None is ``reports/report.html`` in the run's folder, where training
                has written it.

        Raises:
            InputError: it cannot be written.
        """
        path = self.folder / REPORT if output is None else Path(output)
        write_whole(path, (run_page(self.folder),))
        return path

    def _repr_html_(self) -> str:
        """Show the main scores, in a notebook."""
        shown = {name: self.scores[name] for name in _SHOWN if name in self.scores}
        rows = "".join(
            f"<tr><td>{name}</td><td>{value:.2f}</td></tr>" for name, value in shown.items()
        )
        return f"<table><caption><code>{escape(str(self.folder))}</code></caption>{rows}</table>"


def fit(
    model: Name | Mapping[str, Any] | None = None,
    *,
    output: Name,
    train: object = None,
    validation: object = None,
    test: object = None,
    options: Mapping[str, Any] | None = None,
    config: Name | Sequence[Name] = (),
    callbacks: Sequence[Callback] = (),
    resume: bool = False,
    keep_data: bool = False,
) -> Run:
    """Train a reader, as ``lightning fit`` does, and return what came of it.

    Args:
        model: Hub id or folder of a checkpoint, or ``model:`` keys.
        output: the run's folder. An earlier run's results in it are moved aside.
        train: data to train on: a ``datasets.Dataset``, a pandas or polars frame, rows, a path (see
            `QADataModule`). None where ``config`` or ``options`` name the data.
        validation: data to validate on; None is a slice of ``train`` that ``options`` name.
        test: data for a later test.
        options: any keys of the command line, dotted or nested:
            ``{"trainer.max_epochs": 2, "data": {"language": "pt"}}``.
        config: YAML file or files, below ``options``.
        callbacks: further Lightning callbacks.
        resume: go on from the folder's ``last.ckpt``, if there is one.
        keep_data: write the data in memory into the run's folder as Parquet, so that its
            ``config.yaml`` repeats the run anywhere.

    Raises:
        InputError: values or data that cannot work, as the command line tells it.
    """
    given = {"train": train, "validation": validation, "test": test}
    splits = {name: data for name, data in given.items() if data is not None}
    settings = nested(options or {})
    check_keys(settings)
    if not config:
        check_splits(splits, settings.get("data", {}))
    if splits and keep_data:
        columns = settings.get("data", {}).pop("columns", None)
        set_key(
            settings, "data.data_files", _kept(splits, Path(output).absolute() / "data", columns)
        )
    for key, value in model_keys(model).items():
        set_key(settings, f"model.{key}", value)
    source = MemorySource(splits) if splits and not keep_data else None
    if source is not None:
        settings.setdefault("data", {}).setdefault("in_memory", source.hashes())
    if "test" in splits:
        settings["data"].setdefault("test_split", "test")
    set_key(settings, "trainer.default_root_dir", str(output))
    files_given = [config] if isinstance(config, str | PathLike) else list(config)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "options.yaml"
        file.write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")
        arguments = ["fit"]
        for path in [*files_given, file]:
            arguments += ["--config", str(path)]
        arguments += ["--ckpt_path", "last"] if resume else []
        try:
            done = run(arguments, build=partial(_Session, source, list(callbacks)), go_on=_advice)
        except Interrupted as stop:
            if stop.number == signal.SIGINT:  # a notebook's kernel lives on
                raise KeyboardInterrupt(_advice(stop, arguments)) from None
            raise
    return _result(done)


def _advice(stop: Interrupted, _: Sequence[str]) -> str:
    if stop.checkpoint is None:
        return f"stopped by {stop.name}."
    return (
        f"stopped by {stop.name} after step {stop.step:,}; saved as {stop.checkpoint}. Go on with "
        "`qa_lightning.fit(..., resume=True)` and the same arguments."
    )


class _Session(QALightningCLI):
    """Give the command's data module and trainer what no configuration can hold."""

    def __init__(
        self, source: MemorySource | None, callbacks: list[Callback], *args: Any, **kwargs: Any
    ) -> None:
        self._source = source
        self._callbacks = callbacks
        super().__init__(*args, **kwargs)

    def before_instantiate_classes(self) -> None:
        super().before_instantiate_classes()
        if _is_interactive():
            _settle_on_one_process(self.config[self.subcommand].trainer)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        config = self.config_init[self.subcommand]
        if self._source is not None:
            config["data"].hold(self._source)
        listed = config["trainer"]["callbacks"] or []
        own = listed if isinstance(listed, list) else [listed]
        config["trainer"]["callbacks"] = [*own, *self._callbacks] or None
        return super().instantiate_trainer(**kwargs)


def _is_interactive() -> bool:
    """Return whether there is no script that other processes could be started with."""
    return hasattr(sys, "ps1") or bool(sys.flags.interactive)


def _settle_on_one_process(trainer: Any) -> None:
    """Take one device where they are left open, and refuse what asks for several processes."""
    if trainer.devices == "auto":
        trainer.devices = 1
    wanted = {
        "devices": re.fullmatch(r"1|\[\d+\]|\d+,", str(trainer.devices)),
        "num_nodes": trainer.num_nodes == 1,
        "strategy": trainer.strategy in ("auto", "single_device"),
    }
    found = [f"`trainer.{key}` {trainer[key]}" for key, is_one in wanted.items() if not is_one]
    if found:
        raise InputError(
            "Expected one process in a notebook or an interactive Python, which other processes "
            f"cannot be started from; got {', '.join(found)}. Leave it out to train on one device, "
            "or write the same call into a file and run that: `!python train.py`."
        )


def _result(done: QALightningCLI) -> Run:
    data = done.datamodule
    assert isinstance(data, QADataModule)
    latest = done.config_init["fit"]["evaluation"].latest
    return Run(
        folder=Path(done.trainer.default_root_dir),
        scores={} if latest is None else dict(latest.scores),
        answers=None if latest is None else latest.answers,
        audit=data.alignment_audit,
    )


def _kept(splits: Mapping[str, object], folder: Path, columns: Any) -> dict[str, str]:
    """Write splits as Parquet, in canonical columns and named by content, and return the files."""
    source = MemorySource(splits)
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name in splits:
        examples = load_examples(source, split=name, columns=columns)
        path = folder / f"{name}-{source.hashes()[name]}.parquet"
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            whole = Path(scratch) / path.name
            examples.to_parquet(whole)
            whole.replace(path)
        files[name] = str(path)
    return files
