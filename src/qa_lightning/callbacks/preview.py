"""What a run looks like to the person who started it: how long it takes, what it answers."""

import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.table import Table
from rich.text import Text

from qa_lightning.answers import QuestionAnswers
from qa_lightning.callbacks.evaluation import AnswerEvaluation
from qa_lightning.callbacks.terminal import console_of
from qa_lightning.demo import sentence_around


class AnswerPreview(Callback):
    """Print an estimate of the time at the start, and answered questions at the end of ``fit``.

    Args:
        questions: how many questions to show.
        estimate_after: optimizer steps to time before the estimate is printed.
        next_command: what to try next, printed last; ``{folder}`` in it is the run's folder.
    """

    def __init__(
        self, *, questions: int = 5, estimate_after: int = 20, next_command: str | None = None
    ) -> None:
        self.questions = questions
        self.estimate_after = estimate_after
        self.next_command = next_command
        self._begin = 0.0
        self._first_step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._first_step = trainer.global_step
        self._begin = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Print the estimate once enough steps were timed."""
        done = trainer.global_step - self._first_step
        if done != self.estimate_after or not trainer.is_global_zero:
            return
        seconds = (time.perf_counter() - self._begin) / done
        left = int(trainer.estimated_stepping_batches) - trainer.global_step
        console_of(trainer).print(
            f"{left:,} steps to go at {1000 * seconds:.0f} ms each: about "
            f"{_duration(left * seconds)}, validations not counted."
        )

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print answered questions, spread over the validation split."""
        if not trainer.is_global_zero:
            return
        evaluation = next(
            callback
            for callback in trainer.callbacks  # type: ignore[attr-defined]
            if isinstance(callback, AnswerEvaluation)
        )
        if evaluation.latest is None or self.questions < 1:
            return
        answers = evaluation.latest.answers
        step = max(1, len(answers) // self.questions)
        examples = trainer.datamodule.val_examples  # type: ignore[attr-defined]
        console = console_of(trainer)
        console.print(answer_table(answers[::step][: self.questions], examples))
        if self.next_command:
            folder = _from_here(Path(trainer.default_root_dir))
            command = as_found_here(self.next_command.replace("{folder}", shlex.quote(folder)))
            console.print(f"Next: [bold]{command}[/bold]", soft_wrap=True)


def as_found_here(command: str) -> str:
    """Return a command as the shell finds it: with its path, if only this environment has it.

    ``make demo`` needs no activated environment, and neither should what it says to try next.
    """
    name, *arguments = command.split(" ", 1)
    own = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    if not own.is_file() or (found is not None and own.samefile(found)):
        return command
    return " ".join([_from_here(own), *arguments])


def _from_here(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if here in path.parents else path)


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.1f} minutes" if seconds >= 60 else f"{seconds:.0f} seconds"


def answer_table(answers: Sequence[QuestionAnswers], examples: Any) -> Table:
    """Return a table of questions, the sentence each answer stands in, and the gold answer."""
    table = Table(title="Questions on documents that were not in training", show_lines=True)
    for column in ("question", "[answer] in its sentence", "expected"):
        table.add_column(Text(column))
    for answered in answers:
        example = examples[answered.example_index]
        table.add_row(
            example["question"],
            _marked_sentence(example["context"], answered),
            " / ".join(example["answers"]["text"]) or "no answer",
        )
    return table


def _marked_sentence(context: str, answered: QuestionAnswers) -> Text:
    answer = answered.answer
    if answer is None:
        return Text("no answer", style="dim")
    sentence = sentence_around(context, answer.start_char, answer.end_char)
    begin = context.index(sentence, max(0, answer.end_char - len(sentence)))
    return Text.assemble(
        context[begin : answer.start_char],
        (f"[{answer.text}]", "bold green"),  # brackets for log files, which have no colours
        context[answer.end_char : begin + len(sentence)],
    )
