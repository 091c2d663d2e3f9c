"""Ctrl-C before a command has begun."""

import pytest

import qa_lightning.cli as command


def test_it_ends_with_its_status_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "import_module", interrupted)
    for arguments in (["fit"], ["audit", "data.json"]):
        with pytest.raises(SystemExit) as left:
            command.main(arguments)
        assert left.value.code == 130
        assert capsys.readouterr().err == "stopped by SIGINT.\n"
