"""The command line: ``lightning``, ``qa-lightning`` and ``python -m qa_lightning``.

Only the standard library is imported here; a command's own module, and with it torch and
Lightning, is imported when the command was chosen, so that ``--help`` answers at once.
"""

import atexit
import errno
import gc
import os
import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module

import qa_lightning
from qa_lightning.cli.arguments import problem_of
from qa_lightning.cli.completing import SHELLS, completion
from qa_lightning.cli.reference import help_of
from qa_lightning.cli.spelling import command_meant
from qa_lightning.errors import InputError
from qa_lightning.shortage import is_shortage, shortage

TRAINING = {
    "fit": "train a model, with answers and scores at each validation",
    "validate": "answer and score the validation split",
    "test": "answer and score the test split",
    "predict": "answer questions that have no gold answers",
}
COMMANDS = {
    "audit": "check where answers stand in their documents, and repair them",
    "answer": "answer questions from a document, at once",
    "index": "read a folder of documents once, to be asked often",
    "app": "serve a page that asks documents, and keeps corrected answers to train on",
    "serve": "answer over HTTP: a service with limits, metrics and a key",
    "export": "write a checkpoint as a folder that transformers loads",
    "longify": "turn a BERT or RoBERTa checkpoint into a Longformer",
    "tune": "search settings, each trial a run, and write the best as a configuration",
    "report": "write a page about a run: scores, answers to look through, what to try next",
    "compare": "say what one run has more than another, and whether that is more than chance",
    "cache": "list the prepared data that is kept, and remove what is not wanted",
}
_LOADED = {
    **dict.fromkeys((*TRAINING, "tune"), "PyTorch and Lightning"),
    **dict.fromkeys(
        ("answer", "app", "serve", "export", "longify", "report", "compare"), "PyTorch"
    ),
}


def main(args: Sequence[str] | None = None) -> None:
    """Run one command; ``args`` are those of ``sys.argv`` without the program's name.

    Raises:
        SystemExit: status 2 after a user's mistake, told in one message on stderr.
    """
    # Read when torch is loaded. OpenMP's threads else spin while they wait, and on a machine that
    # others use too they hold the core that their work waits for: training took 7 times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    arguments = list(sys.argv[1:] if args is None else args)
    command = arguments[0] if arguments else "--help"
    if command in ("--help", "-h", "help"):
        _say(help_text())
    elif command == "--version":
        _say(f"qa-lightning {qa_lightning.__version__}")
    elif command == "completion":
        _complete(arguments[1:])
    elif command in TRAINING and (asked := _asked(arguments)):
        _say(help_of(command, TRAINING[command], None if asked == "-" else asked))
    elif command in TRAINING or command in COMMANDS:
        if message := problem_of(command, arguments[1:]):
            _fail(message)
        _run(command, arguments)
    else:
        commands = [*TRAINING, *COMMANDS]
        meant = command_meant(command, [*commands, "completion", "--version"])
        hint = f" Did you mean `lightning {meant}`?" if meant else ""
        _fail(
            f"Expected one of the commands {', '.join(commands)} first; got {command!r}.{hint} "
            "`lightning --help` lists them."
        )


def help_text() -> str:
    """Return what ``lightning --help`` prints."""
    width = max(map(len, [*TRAINING, *COMMANDS]))
    lines = [f"  {name:<{width}}  {text}" for name, text in {**TRAINING, **COMMANDS}.items()]
    return "\n".join(
        [
            "usage: lightning COMMAND [--config FILE ...] [--key value ...]",
            "",
            "Answers extracted from long documents, word for word, with their place.",
            "",
            *lines,
            "",
            "  lightning fit --config configs/demo.yaml     learn on generated documents",
            "  lightning fit --help                         the keys of fit",
            "  lightning completion bash|zsh|fish           the script that completes its options",
            "  lightning --version                          the version",
            "",
            "Set QA_LIGHTNING_DEBUG=1 to see the traceback behind an error message.",
        ]
    )


def _complete(shells: Sequence[str]) -> None:
    if len(shells) != 1 or shells[0] not in SHELLS:
        _fail(
            f"Expected `completion` to be followed by one of {', '.join(SHELLS)}; got "
            f"{' '.join(shells) or 'nothing'}."
        )
    _say(completion(shells[0], {**TRAINING, **COMMANDS}, TRAINING))


def _asked(arguments: Sequence[str]) -> str | None:
    """Return what help is asked for: ``-`` (an overview), ``all``, a group or a key; None: none."""
    if "--help-all" in arguments:
        return "all"
    for place, argument in enumerate(arguments):
        if argument in ("--help", "-h"):
            following = arguments[place + 1 : place + 2]
            return "-" if not following or following[0].startswith("-") else following[0]
    return None


def _run(command: str, arguments: list[str]) -> None:
    from jsonargparse import ArgumentError

    try:
        if command in COMMANDS:
            bound_settings()
            _run_command(command, arguments[1:])
        else:
            _load(command)
            import_module("qa_lightning.cli.training").run(arguments)
    except (InputError, ArgumentError) as error:
        if os.environ.get("QA_LIGHTNING_DEBUG"):
            raise
        _fail(str(error))
    except (MemoryError, RuntimeError) as error:
        if os.environ.get("QA_LIGHTNING_DEBUG") or not is_shortage(error):
            raise
        _fail(shortage(error))
    except OSError as error:
        if os.environ.get("QA_LIGHTNING_DEBUG") or error.errno != errno.ENAMETOOLONG:
            raise
        _fail(f"Expected the name of a file or folder; got a text: {str(error.filename)[:60]} …")
    except KeyboardInterrupt:  # before `fit` takes signals: nothing has begun
        sys.stderr.write("stopped by SIGINT.\n")
        raise SystemExit(130) from None


@cache
def bound_settings() -> None:
    """Let the parsers refuse YAML that a few bytes make endless, wherever it stands.

    jsonargparse has no other way to all of it: an option's value is not loaded by `set_loader`'s.
    """
    from jsonargparse import _loaders_dumpers

    from qa_lightning.bounds import check_yaml

    class Bounded(_loaders_dumpers.get_yaml_default_loader()):  # type: ignore[misc]
        def __init__(self, stream: str) -> None:
            check_yaml(stream)
            super().__init__(stream)

    _loaders_dumpers.yaml_default_loader = Bounded  # type: ignore[assignment]


def _run_command(command: str, arguments: list[str]) -> None:
    from jsonargparse import ArgumentError

    module = import_module(f"qa_lightning.cli.{command}")
    parser = module.build_parser()
    parser.prog = f"qa-lightning {command}"
    parser.exit_on_error = False
    try:
        settings = parser.parse_args(arguments)  # or help
    except ArgumentError as error:
        from qa_lightning.cli.mistakes import explained

        raise InputError(explained(error, [command, *arguments])) from error
    _load(command)
    module.run(settings)


def _load(command: str) -> None:
    """Import what a command needs, and say so: it takes seconds, and silence looks dead.

    A log file is told of long runs alone: other commands are part of scripts.
    """
    trains = command in TRAINING or command == "tune"
    needed = "qa_lightning.cli.training" if trains else "torch"
    if command not in _LOADED or needed in sys.modules:
        return
    from qa_lightning.bars import Bars, Pace

    is_told = sys.stderr.isatty() or (trains and os.environ.get("LOCAL_RANK", "0") == "0")
    with Bars(shown=None if is_told else False, pace=Pace(0.5)) as bars:
        bars(f"loading {_LOADED[command]}", 0)
        _import_once(needed)


def _import_once(name: str) -> None:
    """Import a large module unseen by the garbage collector, which would take as long again.

    Nothing of it is garbage: not while it is made, nor when the process ends (Lightning's two
    million objects are looked through for 2.5 seconds then).
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        import_module(name)
    finally:
        gc.freeze()
        atexit.register(gc.freeze)
        if was_enabled:
            gc.enable()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _fail(message: str) -> None:
    sys.stderr.write(f"error: {message}\n")
    raise SystemExit(2)
