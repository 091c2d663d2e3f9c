"""The scripts that complete commands and options in a shell."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from qa_lightning.cli.reference import Key, brief, keys_of

_PROGRAMS: Final = ("lightning", "qa-lightning")
_HELP: Final = Key("help", "switch", "", "show the options, and stop")
_HELP_ALL: Final = Key("help-all", "switch", "", "show all that is known of all options, and stop")
_OTHERS: Final = {
    "completion": "print the script that completes options in a shell",
    "--help": "list the commands",
    "--version": "print the version",
}

Commands = Mapping[str, str]


def completion(shell: str, commands: Commands, training: Commands) -> str:
    """Return a shell's script.

    Args:
        shell: one of ``SHELLS``.
        commands: all of them, with what they do.
        training: those whose help has an overview.
    """
    options = {
        name: [
            *(key for key in keys_of(name) if not key.positional),
            _HELP,
            *([_HELP_ALL] if name in training else []),
        ]
        for name in commands
    }
    return "\n".join(SHELLS[shell]({**commands, **_OTHERS}, options))


def _bash(commands: Commands, options: Mapping[str, list[Key]]) -> Iterator[str]:
    yield "_qa_lightning() {"
    yield '  local current="${COMP_WORDS[COMP_CWORD]}" words=""'
    yield '  case "${COMP_WORDS[1]}" in'
    for name, keys in options.items():
        yield f'    {name}) words="{" ".join(f"--{key.name}" for key in keys)}" ;;'
    yield f'    completion) words="{" ".join(SHELLS)}" ;;'
    yield "  esac"
    yield f'  if [ "$COMP_CWORD" -eq 1 ]; then words="{" ".join(commands)}"; fi'
    yield '  case "$COMP_CWORD,${COMP_WORDS[1]},$current" in'
    yield '    1,*|*,completion,*|*,-*) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;'
    yield '    *) COMPREPLY=($(compgen -f -- "$current")) ;;'
    yield "  esac"
    yield "}"
    yield f"complete -o filenames -F _qa_lightning {' '.join(_PROGRAMS)}"


def _zsh(commands: Commands, options: Mapping[str, list[Key]]) -> Iterator[str]:
    # A shell that was started without completion has neither.
    yield "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }"
    yield "autoload -U +X bashcompinit && bashcompinit"
    yield from _bash(commands, options)


def _fish(commands: Commands, options: Mapping[str, list[Key]]) -> Iterator[str]:
    yield f"for program in {' '.join(_PROGRAMS)}"
    yield "  complete -c $program -e"
    yield "  complete -c $program -n __fish_use_subcommand -f"
    for name, about in commands.items():
        if not name.startswith("-"):
            yield f"  complete -c $program -n __fish_use_subcommand -a {name} -d {_quoted(about)}"
    yield f"  complete -c $program -n {_seen(['completion'])} -f -a '{' '.join(SHELLS)}'"
    having: dict[Key, list[str]] = {}
    for name, keys in options.items():
        for key in keys:
            having.setdefault(key, []).append(name)
    for key, names in having.items():
        takes = "" if key.kind == "switch" else " -r"
        yield (
            f"  complete -c $program -n {_seen(names)} -l {key.name}{takes} "
            f"-d {_quoted(brief(key.help))}"
        )
    yield "end"


def _seen(names: list[str]) -> str:
    return f"'__fish_seen_subcommand_from {' '.join(names)}'"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS: Final[Mapping[str, Callable[[Commands, Mapping[str, list[Key]]], Iterator[str]]]] = {
    "bash": _bash,
    "zsh": _zsh,
    "fish": _fish,
}
