"""The cache of prepared data: whole, checked, swept and bounded, while others use it."""

import fcntl
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from qa_lightning import QADataModule
from qa_lightning.cache import Cache, Lease
from qa_lightning.folders import bytes_in
from running import fail, rows_of, run, write_rows

KEYS = [f"{number:032x}" for number in range(1, 9)]


def add(cache: Cache, key: str, size: int = 10) -> None:
    with cache.building(key, {"source": "x.json", "split": "train"}) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "data").write_bytes(bytes(size))


def used(cache: Cache, key: str, seconds_ago: float) -> None:
    moment = time.time() - seconds_ago
    os.utime(cache.folder / key / "in_use", (moment, moment))


def keys(cache: Cache) -> set[str]:
    return {entry.key for entry in cache.entries()}


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", most_entries=3, most_gib=1.0)


def test_an_entry_is_there_whole_or_not_at_all(cache: Cache) -> None:
    def interrupted() -> None:
        with cache.building(KEYS[0], {}) as folder:
            (folder / "half").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert cache.find(KEYS[0]) is None
    assert not list(cache.folder.iterdir())
    add(cache, KEYS[0])
    found = cache.find(KEYS[0])
    assert found is not None
    assert (found[0] / "sub" / "data").stat().st_size == 10
    add(cache, KEYS[0])  # another process was faster: its entry stays
    assert keys(cache) == {KEYS[0]}


def test_every_flipped_byte_is_noticed(cache: Cache, caplog: pytest.LogCaptureFixture) -> None:
    draw = random.Random(0)
    for number in range(20):
        with cache.building(KEYS[0], {}) as folder:
            for name in ("a", "b"):
                (folder / name).write_bytes(draw.randbytes(1000))
        assert cache.find(KEYS[0]) is not None
        file = cache.folder / KEYS[0] / draw.choice("ab")
        content = bytearray(file.read_bytes())
        content[draw.randrange(1000)] ^= 1 << draw.randrange(8)
        file.write_bytes(content)
        caplog.clear()
        assert cache.find(KEYS[0]) is None, number
        assert f"{file.name} changed" in caplog.text
        assert not list(cache.folder.iterdir())


@pytest.mark.parametrize("damage", ["a file more", "a file less", "no manifest", "no JSON"])
def test_other_damage_is_noticed(damage: str, cache: Cache) -> None:
    add(cache, KEYS[0])
    folder = cache.folder / KEYS[0]
    if damage == "a file more":
        (folder / "sub" / "more").touch()
    elif damage == "a file less":
        (folder / "sub" / "data").unlink()
    elif damage == "no manifest":
        (folder / "entry.json").unlink()
    else:
        (folder / "entry.json").write_text("[1]")
    assert cache.find(KEYS[0]) is None


def test_those_not_used_for_longest_go_and_never_one_in_use(cache: Cache) -> None:
    for place, key in enumerate(KEYS[:3]):
        add(cache, key)
        used(cache, key, 1000 - place)
    found = cache.find(KEYS[0])  # the oldest is read now, and held
    used(cache, KEYS[0], 5000)
    add(cache, KEYS[3])
    assert keys(cache) == {KEYS[0], KEYS[2], KEYS[3]}
    assert not cache.remove(KEYS[0])
    assert next(entry for entry in cache.entries() if entry.key == KEYS[0]).in_use
    del found
    used(cache, KEYS[0], 5000)
    add(cache, KEYS[4])
    assert keys(cache) == {KEYS[2], KEYS[3], KEYS[4]}


def test_what_others_take_away_meanwhile_is_passed_over(cache: Cache) -> None:
    """Two runs that begin together: each looks into the folder in which the other makes entries."""
    over = threading.Event()

    def make_and_take_away() -> None:
        for number in count():
            if over.is_set():
                return
            folder = cache.folder / f".{number:08x}-{'x' * 8}"
            (folder / "deep").mkdir(parents=True)
            (folder / "deep" / "rows.arrow").write_bytes(b"1234")
            shutil.rmtree(folder)

    other = threading.Thread(target=make_and_take_away, daemon=True)
    other.start()
    try:
        for _ in range(2_000):
            assert bytes_in(cache.folder) % 4 == 0
            assert all(not entry.finished for entry in cache.entries())
    finally:
        over.set()
        other.join()


def test_the_size_is_bounded(tmp_path: Path) -> None:
    cache = Cache(tmp_path, most_entries=99, most_gib=25_000 / 2**30)
    for place, key in enumerate(KEYS[:5]):
        add(cache, key, size=8_000)
        used(cache, key, 100 - place)
    assert keys(cache) == set(KEYS[3:5]) | {KEYS[2]} - {""}
    add(cache, KEYS[5], size=90_000)  # larger than the bound: it is what the run needs
    assert keys(cache) == {KEYS[5]}


def test_a_lease_goes_with_what_is_sent_to_another_process(cache: Cache) -> None:
    add(cache, KEYS[0])
    lease = Lease(cache.folder / KEYS[0])
    copy = pickle.loads(pickle.dumps(lease))
    lease.close()
    assert not cache.remove(KEYS[0])
    copy.close()
    assert cache.remove(KEYS[0])


BUILD_AND_WAIT = """
import sys, time
from pathlib import Path
from qa_lightning.cache import Cache
cache = Cache(Path(sys.argv[1]))
with cache.building("f" * 32, {}) as folder:
    (folder / "half").write_text("half")
    print("building", flush=True)
    time.sleep(600)
"""


def test_what_a_killed_process_left_is_swept_and_what_a_running_one_makes_is_not(
    cache: Cache,
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", BUILD_AND_WAIT, str(cache.folder)], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"building\n"
        (scratch,) = cache.folder.iterdir()
        assert cache.sweep() == []
        (entry,) = cache.entries()
        assert (entry.in_use, entry.finished) == (True, False)
        assert not cache.remove(entry.key)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    assert scratch.is_dir()
    unknown = cache.folder / ".ffffffff-without-a-lock"
    unknown.mkdir()
    add(cache, KEYS[0])
    assert not scratch.exists()
    assert unknown.exists()  # nothing proves that nobody fills it


def test_a_scratch_folder_is_swept_however_soon_its_process_was_killed(cache: Cache) -> None:
    add(cache, KEYS[0])
    made = {name: cache.folder / f".{name * 8}-x" for name in "abcd"}
    for folder in made.values():
        folder.mkdir()
    for name in "bcd":
        (made[name] / "in_use.new").touch()
    assert cache.sweep() == []  # a process may just be about to hold it
    for name in "abc":
        os.utime(made[name], (0, 0))
    with (made["c"] / "in_use.new").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert set(cache.sweep()) == {made["a"].name, made["b"].name}
    assert cache.sweep() == [made["c"].name]
    assert made["d"].exists()


def test_a_checkpoints_tokenizer_is_an_entry_and_checked(
    small: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = ("--data.cache_dir", tmp_path / "cache")
    run("fit", "--config", small, *place)
    validate = ("validate", "--config", small, "--ckpt_path", "best", *place)
    run(*validate)
    assert "a checkpoint's tokenizer" in run("cache", "--cache_dir", tmp_path / "cache")
    (file,) = (tmp_path / "cache").rglob("tokenizer.json")
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b"Lisboa", b"Lisbao").replace(b"<unk>", b"<ukn>"))
    run(*validate)
    assert "is damaged (tokenizer.json changed)" in caplog.text
    assert file.read_bytes() == whole


def test_what_a_fit_of_this_process_held_may_go(small: Path, tmp_path: Path) -> None:
    run("fit", "--config", small, "--data.cache_dir", tmp_path / "cache")
    removed = run("cache", "--cache_dir", tmp_path / "cache", "--remove", "all")
    assert "in use" not in removed
    assert "0 entries" in removed


def test_settings_tried_out_leave_no_more_entries_than_allowed(
    small_files: dict[str, Path], tmp_path: Path
) -> None:
    def data(length: int) -> QADataModule:
        return QADataModule(
            data_files={name: str(small_files[name]) for name in ("train", "validation")},
            tokenizer=str(small_files["tokenizer"]),
            max_length=length,
            doc_stride=16,
            cache_dir=str(tmp_path),
            cache_entries=6,
        )

    first = data(60)
    first.setup("fit")
    for length in range(61, 71):
        data(length).setup("fit")
    left = Cache(tmp_path / "qa_lightning").entries()
    assert len(left) == 6
    assert sum(entry.in_use for entry in left) >= 2
    assert len(first.train_features["input_ids"][0]) <= 60
    assert {entry.about["max_length"] for entry in left} >= {60, 70}


def test_the_command_lists_and_removes(
    small_files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ("cache", "--cache_dir", tmp_path)
    assert "0 entries" in run(*place)
    data = QADataModule(
        data_files={"train": str(small_files["train"])},
        tokenizer=str(small_files["tokenizer"]),
        val_split="train[:5]",
        max_length=64,
        doc_stride=16,
        cache_dir=str(tmp_path),
    )
    data.setup("fit")
    listed = run(*place)
    for told in ("2 entries", "train.json", "train[:5]", "max_length 64", "in use", "just now"):
        assert told in listed
    key = data.split("train").fingerprint
    assert "stays" in run(*place, "--remove", key)
    del data
    assert f"{key}: removed" in run(*place, "--remove", key[:8])
    assert "1 entries" in run(*place)
    assert "0 begin with 'zz'" in fail(capsys, *place, "--remove", "zz")
    assert "1 entries" in run(*place, "--unused_days", 1)
    assert "0 entries" in run(*place, "--unused_days", 0)
    assert "unused_days" in fail(capsys, *place, "--unused_days", -1)


def test_flipped_bytes_of_prepared_data_are_never_trained_on(
    small_files: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = {
        "train": str(write_rows(tmp_path / "train.json", rows_of(8))),
        "validation": str(small_files["validation"]),
    }
    settings: dict[str, Any] = {"data_files": files, "tokenizer": str(small_files["tokenizer"])}
    settings |= {"max_length": 64, "doc_stride": 16, "cache_dir": str(tmp_path)}

    def windows() -> list[list[int]]:
        data = QADataModule(**settings)
        data.setup("fit")
        return list(data.train_features["input_ids"][:])

    whole = windows()
    for file in (tmp_path / "qa_lightning").glob("*/features/*.arrow"):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 4  # a token of another word
        file.write_bytes(content)
    assert windows() == whole
    assert caplog.text.count("preparing anew") == 2
