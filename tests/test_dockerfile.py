"""The image's recipe: its RUN lines work in a clean environment, and it serves as a plain user."""

import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def lines(word: str) -> list[str]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    return re.findall(rf"^{word} (.*)$", text, re.MULTILINE)


def copied() -> list[str]:
    """Return the files and folders that the image gets."""
    return [name for line in lines("COPY") for name in line.split()[:-1]]


def test_the_image_serves_as_a_plain_user_what_the_repository_has() -> None:
    (user,) = lines("USER")
    assert user not in ("root", "0")
    assert any(f"useradd --create-home --uid 10001 {user}" in line for line in lines("RUN"))
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for name in copied():
        assert (ROOT / name).exists(), name
        assert f"!{name}" in ignored
    # The user comes after all that is installed, and before what is run.
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert text.rindex("\nRUN") < text.index("\nUSER") < text.index("\nENTRYPOINT")


def readable_python() -> Path:
    """Return an interpreter that other users may run: this one may be in root's own home."""
    own = Path(sys.base_prefix) / "bin" / "python3"
    found = [own, *map(Path, filter(None, (shutil.which("python3.11", path=os.defpath),)))]
    for python in found:
        if all(parent.stat().st_mode & stat.S_IXOTH for parent in python.parents):
            return python
    pytest.skip("needs a Python 3.11 that other users may run (apt-get install python3.11-venv)")


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which only root may")
def test_its_run_lines_install_a_service_for_another_user(tmp_path: Path) -> None:
    """No image is built: the lines are run as a script, in a new environment, as ``nobody``."""
    nobody = pwd.getpwnam("nobody")
    site = Path("/opt") / f"qa-lightning-{os.getpid()}"
    environment = site / "venv"
    try:
        shutil.copytree(ROOT / "src", site / "src", ignore=shutil.ignore_patterns("__pycache__"))
        for name in {*copied()} - {"src"}:
            shutil.copy(ROOT / name, site / name)
        subprocess.run([readable_python(), "-m", "venv", environment], check=True)
        commands = [line for line in lines("RUN") if not line.startswith("useradd")]
        assert len(commands) >= 2
        clean = {"PATH": f"{environment / 'bin'}:{os.environ['PATH']}", "HOME": str(site)}
        clean |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        for path in (site, *site.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
        done = subprocess.run(
            ["sh", "-ec", "\n".join([*commands, "id -un", "pwd"])],
            cwd=site, env=clean, user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[],
            capture_output=True, text=True, check=False, timeout=1500,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        assert "--checkpoint" in done.stdout
        assert done.stdout.split()[-2] == "nobody"
    finally:
        shutil.rmtree(site, ignore_errors=True)
