"""Help, suggestions and completion: told from a file that equals the parsers, in no time."""

import subprocess
import sys
from importlib.metadata import version

import pytest

from qa_lightning.cli import COMMANDS, TRAINING, main
from qa_lightning.cli.reference import (
    ELSEWHERE,
    POPULAR,
    completion,
    groups_of,
    help_of,
    keys_of,
    suggestion,
    unknown_option,
)
from test_versions import pins

FIT = [key.name for key in keys_of("fit")]


def test_the_file_is_what_the_parsers_are() -> None:
    pinned = pins()
    if any(version(name) != pinned[name] for name in ("jsonargparse", "lightning")):
        pytest.skip("the file is what the pinned releases' parsers are")
    from qa_lightning.cli import reference, referencing

    written = (referencing.Path(reference.__file__).with_name(reference.FILE)).read_text("utf-8")
    assert written == referencing.reference_text(), "run `make reference`"


@pytest.mark.parametrize("command", [*TRAINING, *COMMANDS])
def test_every_key_of_a_command_has_help_and_a_type(command: str) -> None:
    keys = keys_of(command)
    assert len({key.name for key in keys}) == len(keys) > 0
    for key in keys:
        assert key.kind, key
        assert key.help or key.name.startswith("trainer."), f"{key.name} has no help"


def test_the_tables_name_keys_that_exist() -> None:
    assert set(POPULAR) <= set(FIT)
    assert set(ELSEWHERE.values()) <= set(FIT)


def test_our_own_groups_come_first_and_the_trainer_last() -> None:
    names = list(groups_of("fit"))
    assert names[:5] == ["run", "data", "model", "evaluation", "checkpoint"]
    assert names[-1] == "trainer"
    text = help_of("fit", "train")
    assert text.index("--data.max_length") < text.index("--trainer.max_epochs")
    assert max(map(len, text.splitlines())) <= 102
    for key in keys_of("fit"):
        if key.group != "trainer":
            assert f"--{key.name} " in text


def test_a_group_or_a_key_is_told_whole() -> None:
    whole = help_of("fit", "", "data")
    assert "tokens that neighbouring windows share" in whole
    assert "--model." not in whole.replace("`--model", "")
    assert help_of("fit", "", "data.doc_stride").startswith(
        "--data.doc_stride  (int, default: 128)"
    )
    assert help_of("fit", "", "all").count("\n--") == len(FIT) - 1
    assert "Did you mean data.doc_stride?" in help_of("fit", "", "data.docstride")


@pytest.mark.parametrize("name", FIT)
def test_a_mistyped_option_suggests_the_one_that_was_meant(name: str) -> None:
    place = len(name) - len(name.rpartition(".")[2]) // 2 - 1
    for wrong in (name[:place] + name[place] + name[place:], name.replace("_", "-", 1) + "s"):
        if wrong not in FIT:
            assert suggestion(wrong, FIT) == name


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("trainer.epochs", "trainer.max_epochs"),
        ("learning_rate", "model.learning_rate"),
        ("batch_size", "data.batch_size"),
        ("data.max_len", "data.max_length"),
        ("num_train_epochs", "trainer.max_epochs"),
        ("per_device_train_batch_size", "data.batch_size"),
        ("trainer.learning_rate", "model.learning_rate"),
        ("qqqqq", None),
    ],
)
def test_names_of_other_places_are_known(wrong: str, right: str | None) -> None:
    assert suggestion(wrong, FIT) == right


@pytest.mark.parametrize(
    "option",
    [
        "--model.config.hidden_size=8",
        "--trainer.logger.project",
        "--trainer.callbacks+=EarlyStopping",
        "--trainer.callbacks.help",
        "--data",
        "--print_config=skip_null",
        "--help",
    ],
)
def test_what_hangs_on_a_known_key_is_the_parsers(option: str) -> None:
    assert unknown_option("fit", [option]) is None


def test_a_wrong_option_is_refused_before_anything_heavy_is_imported() -> None:
    code = (
        "import sys\nfrom qa_lightning.cli import main\n"
        "for arguments in (['fit', '--help'], ['fit', '--trainer.epochs', '3']):\n"
        "    try: main(arguments)\n"
        "    except SystemExit as left: assert left.code == 2\n"
        "heavy = {'torch', 'lightning', 'transformers', 'datasets', 'jsonargparse'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--data.max_length" in done.stdout
    assert "Did you mean `--trainer.max_epochs`?" in done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["lightning", "f"], "fit"),
        (["lightning", "fit", "--data.doc"], "--data.doc_stride"),
        (["qa-lightning", "answer", "--questi"], "--question"),
    ],
)
def test_bash_completes_commands_and_options(words: list[str], expected: str) -> None:
    script = completion("bash", [*TRAINING, *COMMANDS])
    line = " ".join(words)
    ask = (
        f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _qa_lightning; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
    assert expected in done.stdout.split()


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["completion", "tcsh"])
    assert left.value.code == 2
    assert "bash or zsh" in capsys.readouterr().err
