"""Help, suggestions and completion: told from a file that equals the parsers, in no time."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from qa_lightning.cli import COMMANDS, TRAINING, main
from qa_lightning.cli.arguments import problem_of
from qa_lightning.cli.completing import completion
from qa_lightning.cli.mistakes import kind_in_words
from qa_lightning.cli.reference import POPULAR, Key, groups_of, help_of, keys_of
from qa_lightning.cli.spelling import (
    COMMANDS_ELSEWHERE,
    ELSEWHERE,
    OF_COMMAND,
    command_meant,
    suggestion,
)
from test_versions import pins

EVERY = {**TRAINING, **COMMANDS}
KEYS = {command: [key.name for key in keys_of(command)] for command in EVERY}
FIT = KEYS["fit"]


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
    known = {name for names in KEYS.values() for name in names}
    assert {name for meant in ELSEWHERE.values() for name in meant} <= known
    assert all(set(meant.values()) <= set(KEYS[command]) for command, meant in OF_COMMAND.items())
    assert set(COMMANDS_ELSEWHERE.values()) <= set(EVERY)
    assert not set(COMMANDS_ELSEWHERE) & set(EVERY)


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
    ("command", "wrong", "right"),
    [
        ("fit", "trainer.epochs", "trainer.max_epochs"),
        ("fit", "learning_rate", "model.learning_rate"),
        ("fit", "batch_size", "data.batch_size"),
        ("fit", "data.max_len", "data.max_length"),
        ("fit", "num_train_epochs", "trainer.max_epochs"),
        ("fit", "per_device_train_batch_size", "data.batch_size"),
        ("fit", "trainer.learning_rate", "model.learning_rate"),
        ("fit", "model.name", "model.model_name_or_path"),
        ("fit", "model.revison", "model.revision"),
        ("fit", "steps", "trainer.max_steps"),
        ("fit", "output", "trainer.default_root_dir"),
        ("predict", "output_dir", "prediction.output_dir"),
        ("fit", "resume", "ckpt_path"),
        ("answer", "ckpt", "checkpoint"),
        ("answer", "model", "checkpoint"),
        ("answer", "top-k", "n_best"),
        ("export", "ckpt_path", "checkpoint"),
        ("longify", "out", "output"),
        ("fit", "qqqqq", None),
        ("answer", "qqqqq", None),
    ],
)
def test_names_of_other_places_are_known(command: str, wrong: str, right: str | None) -> None:
    assert suggestion(wrong, KEYS[command], command) == right


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("train", "fit"), ("fitt", "fit"), ("--verison", "--version"), ("Evaluate", "validate")],
)
def test_a_wrong_command_suggests_the_one_that_was_meant(
    wrong: str, right: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_meant(wrong, [*EVERY, "--version"]) == right
    with pytest.raises(SystemExit) as left:
        main([wrong])
    assert left.value.code == 2
    assert f"Did you mean `lightning {right}`?" in capsys.readouterr().err


@pytest.mark.parametrize("key", keys_of("fit"), ids=lambda key: key.name)
def test_every_plain_type_has_words(key: Key) -> None:
    if "lightning." in key.kind or "transformers." in key.kind or key.kind in ("switch", "path"):
        return
    words = kind_in_words(key.kind)
    assert not re.search(r"[\[\]|']|Optional|Union|Literal|NoneType|\b(int|str|bool)\b", words), (
        words
    )


RIGHT = {
    "fit": "--config {file} -c {file} --data.max_length=8 --data.doc_stride -1 --print_config",
    "predict": "--ckpt_path best --model.config.hidden_size 8 --trainer.callbacks+=EarlyStopping",
    "audit": "train.json --split train[:3]",
    "answer": "--json --checkpoint x --question one two --document - --n_best 2",
    "compare": "one two three --html page.html --common",
    "cache": "--remove a b",
    "index": "folder --output x",
}


@pytest.mark.parametrize("command", EVERY)
def test_a_right_line_is_the_parsers(command: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("data: {}")
    required = [key for key in keys_of(command) if key.required]
    shortest = " ".join(
        "word" if key.positional else f"--{key.name} {file}" for key in required
    ).split()
    assert problem_of(command, shortest) is None
    assert problem_of(command, [*shortest, "--", "whatever"]) is None
    assert problem_of(command, RIGHT.get(command, "--help").format(file=file).split()) is None


@pytest.mark.parametrize("command", EVERY)
def test_each_key_that_is_left_out_or_has_no_value_is_named(command: str) -> None:
    required = {
        key.name: ["word"] if key.positional else [f"--{key.name}", "{}"]
        for key in keys_of(command)
        if key.required
    }
    for missing in required:
        line = [word for name, words in required.items() if name != missing for word in words]
        message = problem_of(command, line) or ""
        assert missing in message.lower(), message
        assert "; got none." in message
    whole = [word for words in required.values() for word in words]
    for key in keys_of(command):
        if not key.positional and key.kind != "switch":
            for after in ([], ["--help-me"]):
                message = problem_of(command, [*whole, f"--{key.name}", *after]) or ""
                assert f"a value after `--{key.name}`" in message
        if key.positional:
            message = problem_of(command, [f"--{key.name}", "word"]) or ""
            assert f"`{key.name.upper()}` as it is" in message


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("fit configs/demo.yaml", "Did you mean `--config configs/demo.yaml`?"),
        ("fit --config settings.yaml other.yaml", "`other.yaml`; got it alone"),
        ("fit help", "`lightning fit --help`"),
        ("answer runs/mine --question Q", "Did you mean `--checkpoint runs/mine`?"),
        ("app runs/mine", "Did you mean `--checkpoint runs/mine`?"),
        ("fit --config setings.yaml", "Did you mean settings.yaml?"),
        ("fit --config=nowhere/at/all.yaml", "there is no nowhere/at/all.yaml. Check the path."),
        ("fit -x 3", "got `-x`"),
        ("fit epochs=3", "`epochs=3`; got it alone"),
    ],
)
def test_words_that_no_command_takes_are_told(
    line: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "settings.yaml").write_text("data: {}")
    monkeypatch.chdir(tmp_path)
    command, *arguments = line.split()
    assert told in (problem_of(command, arguments) or "")


@pytest.mark.parametrize(
    "option",
    [
        "--model.config.hidden_size=8",
        "--trainer.logger.project=x",
        "--trainer.callbacks+=EarlyStopping",
        "--data=data.yaml",
        '--data.data_files={"train": "a b.json"}',
        "--print_config=skip_null",
        "--help",
    ],
)
def test_what_hangs_on_a_known_key_is_the_parsers(option: str) -> None:
    assert problem_of("fit", [option]) is None


def test_a_wrong_option_is_refused_before_anything_heavy_is_imported() -> None:
    code = (
        "import sys\nfrom qa_lightning.cli import main\n"
        "for line in ('fit --help', 'fit --trainer.epochs 3', 'fit a.yaml', 'answer', 'fitt',\n"
        "             'fit --config nope.yaml', 'completion fish'):\n"
        "    arguments = line.split()\n"
        "    try: main(arguments)\n"
        "    except SystemExit as left: assert left.code == 2\n"
        "heavy = {'torch', 'lightning', 'transformers', 'datasets', 'jsonargparse'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--data.max_length" in done.stdout
    assert "Did you mean `--trainer.max_epochs`?" in done.stderr


LINES = [
    ("lightning f", "lightning fit"),
    ("lightning fit --data.doc", "lightning fit --data.doc_stride"),
    ("qa-lightning answer --questi", "qa-lightning answer --question"),
    ("lightning completion f", "lightning completion fish"),
    ("lightning fit --help-a", "lightning fit --help-all"),
    ("lightning fit --config onl", "lightning fit --config only.yaml"),
    ("qa-lightning audit --sour", "qa-lightning audit --sour"),
]


@pytest.mark.parametrize("words", [line.split() for line, _ in LINES])
def test_bash_completes_commands_options_and_files(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "only.yaml").touch()
    expected = dict(LINES)[" ".join(words)].split()[-1]
    ask = (
        f"{completion('bash', EVERY, TRAINING)}\nCOMP_WORDS=({' '.join(words)}); "
        f"COMP_CWORD={len(words) - 1}; _qa_lightning; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", ask], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.split() == ([expected] if expected != words[-1] else [])


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
@pytest.mark.parametrize(("line", "whole"), LINES)
def test_fish_completes_the_same(line: str, whole: str, tmp_path: Path) -> None:
    (tmp_path / "only.yaml").touch()
    script = completion("fish", EVERY, TRAINING) + f"\ncomplete -C {shlex.quote(line)}"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stderr == ""
    found = [row.split("\t")[0] for row in done.stdout.splitlines()]
    assert (whole.rsplit(maxsplit=1)[-1] in found) == (whole != line)


@pytest.mark.skipif(shutil.which("zsh") is None, reason="needs zsh")
@pytest.mark.parametrize("lead", ["", "autoload -Uz compinit && compinit -u -D\n"])
def test_zsh_takes_the_script_in_a_shell_with_and_without_completion(
    lead: str, tmp_path: Path
) -> None:
    script = lead + completion("zsh", EVERY, TRAINING)
    ask = script + "\nprint -- $_comps[lightning] $_comps[qa-lightning]"
    done = subprocess.run(
        ["zsh", "-f", "-c", ask],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "ZDOTDIR": str(tmp_path)},
    )
    assert done.stderr == ""
    assert done.stdout.count("_qa_lightning") == 2


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["completion", "tcsh"])
    assert left.value.code == 2
    assert "bash, zsh, fish" in capsys.readouterr().err
