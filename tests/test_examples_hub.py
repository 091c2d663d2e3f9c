"""Hub data sets through the real `datasets` code, offline, on caches laid out here by hand."""

import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qa_lightning.errors import InputError
from qa_lightning.examples import CANONICAL_FEATURES, load_examples, source_fingerprint, sources

SHA = "0123456789abcdef0123456789abcdef01234567"
NEWER = "f" * 40


def rows_of(number: int, prefix: str) -> list[dict[str, Any]]:
    gold = {"text": ["Lima"], "answer_start": [0]}
    return [
        {"id": f"{prefix}{n}", "title": "t", "context": "Lima", "question": "?", "answers": gold}
        for n in range(number)
    ]


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=CANONICAL_FEATURES.arrow_schema)


def lay_out_datasets_cache(
    root: Path, repo_id: str, splits: dict[str, int], *, config: str = "default", sha: str = SHA
) -> Path:
    """Write what `datasets` leaves in its cache after it has loaded a data set once."""
    owner, name = repo_id.split("/")
    folder = root / f"{owner}___{name}" / config / "0.0.0" / sha
    folder.mkdir(parents=True)
    infos = {}
    for split, number in splits.items():
        table = table_of(rows_of(number, f"{config}-{split}-"))
        path = folder / f"{name}-{split}.arrow"
        with path.open("wb") as stream, pa.ipc.new_stream(stream, table.schema) as writer:
            writer.write_table(table)
        infos[split] = datasets.SplitInfo(
            split, num_bytes=table.nbytes, num_examples=number, dataset_name=name
        )
    info = datasets.DatasetInfo(
        features=CANONICAL_FEATURES,
        builder_name="parquet",
        dataset_name=name,
        config_name=config,
        version="0.0.0",
        splits=datasets.splits.SplitDict(infos, dataset_name=name),
    )
    info.write_to_directory(str(folder))
    return folder


def lay_out_hub_cache(root: Path, repo_id: str, *, sha: str = SHA, ref: str = "main") -> Path:
    """Write what `snapshot_download` leaves in the Hub's cache."""
    repo = root / f"datasets--{repo_id.replace('/', '--')}"
    snapshot = repo / "snapshots" / sha
    (snapshot / "data").mkdir(parents=True)
    (repo / "refs").mkdir(exist_ok=True)
    (repo / "refs" / ref).write_text(sha)
    for split, number in {"train": 3, "validation": 2}.items():
        rows = rows_of(number, f"{sha[:2]}-{split}-")
        pq.write_table(table_of(rows), snapshot / "data" / f"{split}-00000-of-00001.parquet")
    return snapshot


def message_of(source: str, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_examples(source, **options)
    return str(caught.value)


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a Hub cache of its own."""
    root = tmp_path / "hub"
    root.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(root))
    monkeypatch.chdir(tmp_path)
    return root


@pytest.mark.usefixtures("hub_cache")
def test_a_cached_data_set(tmp_path: Path) -> None:
    lay_out_datasets_cache(tmp_path, "org/name", {"train": 40, "validation": 25})
    examples = load_examples("org/name", split="train[:5%]+validation[:4%]", cache_dir=tmp_path)
    assert examples["id"] == ["default-train-0", "default-train-1", "default-validation-0"]
    assert examples.features == CANONICAL_FEATURES
    own = datasets.load_dataset("org/name", split="validation", cache_dir=str(tmp_path))
    assert (
        load_examples("org/name", split="validation", cache_dir=tmp_path).to_list() == own.to_list()
    )
    message = message_of("org/name", split="test", cache_dir=tmp_path)
    assert "a split of org/name, which has train, validation; got 'test'" in message


@pytest.mark.usefixtures("hub_cache")
def test_configs(tmp_path: Path) -> None:
    for config in ("pt", "en"):
        lay_out_datasets_cache(tmp_path, "org/name", {"train": 2}, config=config)
    options: dict[str, Any] = {"split": "train", "cache_dir": tmp_path}
    examples = load_examples("org/name", dataset_config="pt", **options)
    assert examples["id"] == ["pt-train-0", "pt-train-1"]
    pt, en = (source_fingerprint("org/name", dataset_config=c, **options) for c in ("pt", "en"))
    assert pt != en
    assert "'org/name', config 'xx'" in message_of("org/name", dataset_config="xx", **options)
    assert "en, pt" in message_of("org/name", **options)


@pytest.mark.usefixtures("hub_cache")
def test_faulty_rows_are_told_with_their_split(tmp_path: Path) -> None:
    folder = lay_out_datasets_cache(tmp_path, "org/name", {"train": 1})
    table = table_of([*rows_of(1, "a"), {**rows_of(1, "b")[0], "question": None}])
    with pa.ipc.new_stream(str(folder / "name-train.arrow"), table.schema) as writer:
        writer.write_table(table)
    info = json.loads((folder / "dataset_info.json").read_text())
    info["splits"]["train"]["num_examples"] = 2
    (folder / "dataset_info.json").write_text(json.dumps(info))
    told = "org/name (train), row 2, id 'b0': `question` is missing"
    assert told in message_of("org/name", split="train", cache_dir=tmp_path)


@pytest.mark.usefixtures("hub_cache")
def test_fingerprint_is_the_cached_commit(tmp_path: Path) -> None:
    lay_out_datasets_cache(tmp_path / "a", "org/name", {"train": 2})
    lay_out_datasets_cache(tmp_path / "b", "org/name", {"train": 2})
    lay_out_datasets_cache(tmp_path / "c", "org/name", {"train": 2}, sha=NEWER)
    a, b, c = (
        source_fingerprint("org/name", split="train", cache_dir=tmp_path / name) for name in "abc"
    )
    assert a == b != c


def test_offline_a_revision_is_held_against_the_cache(tmp_path: Path, hub_cache: Path) -> None:
    lay_out_datasets_cache(tmp_path, "org/name", {"train": 2})
    options: dict[str, Any] = {"split": "train", "cache_dir": tmp_path}
    for same in (SHA, SHA[:8]):
        assert len(load_examples("org/name", revision=same, **options)) == 2
    message = message_of("org/name", revision=NEWER, **options)
    assert f"at the revision {NEWER}; offline, the cache holds {SHA}" in message
    lay_out_hub_cache(hub_cache, "org/name", sha=NEWER, ref="v2")
    for newer in (NEWER, "v2"):
        examples = load_examples("org/name", revision=newer, **options)
        assert examples["id"] == ["ff-train-0", "ff-train-1", "ff-train-2"]
    # A tag that nothing here knows cannot be checked: the one copy is taken, with a warning.
    assert len(load_examples("org/name", revision="v9", **options)) == 2


def test_a_snapshot_in_the_hub_cache(tmp_path: Path, hub_cache: Path) -> None:
    lay_out_hub_cache(hub_cache, "org/name")
    options: dict[str, Any] = {"cache_dir": tmp_path / "datasets"}
    assert len(load_examples("org/name", split="train", **options)) == 3
    assert len(load_examples("org/name", split="validation[:1]", **options)) == 1
    cached = lay_out_datasets_cache(tmp_path / "other", "org/name", {"train": 3}).parents[3]
    key = source_fingerprint("org/name", split="train", **options)
    assert key == source_fingerprint("org/name", split="train", cache_dir=cached)


def test_a_damaged_snapshot(tmp_path: Path, hub_cache: Path) -> None:
    snapshot = lay_out_hub_cache(hub_cache, "org/name")
    (snapshot / "data" / "train-00000-of-00001.parquet").write_bytes(b"cut off")
    message = message_of("org/name", split="train", cache_dir=tmp_path)
    assert "Expected to build the data set org/name" in message


def test_online_the_hub_names_the_commit(
    tmp_path: Path, hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What `datasets` returns online: a builder on the repository's files, its hash the commit.
    snapshot = lay_out_hub_cache(hub_cache, "org/name", sha=NEWER)
    build = datasets.load_dataset_builder
    asked = []

    def online(path: str, *, revision: str | None, **options: Any) -> datasets.DatasetBuilder:
        asked.append((path, revision))
        builder = build(str(snapshot), **options)
        builder.hash = SHA if revision else NEWER
        return builder

    monkeypatch.setattr(datasets, "load_dataset_builder", online)
    options: dict[str, Any] = {"split": "train", "cache_dir": tmp_path}
    assert len(load_examples("org/name", revision="v1", **options)) == 3
    assert asked == [("org/name", "v1")]
    v1, main = (source_fingerprint("org/name", revision=r, **options) for r in ("v1", None))
    assert v1 != main == source_fingerprint("org/name", **options)


@pytest.mark.usefixtures("hub_cache")
def test_what_is_nowhere(tmp_path: Path) -> None:
    message = message_of("org/nothing", split="train", cache_dir=tmp_path)
    assert "Expected the Hub data set 'org/nothing'" in message
    assert f"No file or folder {tmp_path / 'org' / 'nothing'} exists either" in message
    message = message_of("squad_v1_pt", split="train", cache_dir=tmp_path, revision="v1")
    assert "revision 'v1'" in message
    assert "'nunorc/squad_v1_pt': use that name" in message


@pytest.mark.parametrize(
    ("repo_id", "hint"),
    [
        ("squad_v1_pt", "'nunorc/squad_v1_pt': use that name"),
        ("org/other", "`revision: refs/convert/parquet`"),
    ],
)
def test_a_loading_script_on_the_hub(
    repo_id: str, hint: str, hub_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Online, `datasets` finds the script in the repository; here it finds it beside the caller.
    name = repo_id.rpartition("/")[2]
    (tmp_path / repo_id).mkdir(parents=True)
    (tmp_path / repo_id / f"{name}.py").write_text("")
    monkeypatch.setattr(Path, "exists", lambda path: False)
    monkeypatch.setattr(sources, "absent_folder", lambda name, repo_type: None)
    message = message_of(repo_id, split="train", cache_dir=tmp_path)
    assert f"{repo_id} is still a loading script" in message
    assert hint in message


@pytest.mark.usefixtures("hub_cache")
def test_a_loading_script_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "squad_v1_pt").mkdir()
    (tmp_path / "squad_v1_pt" / "squad_v1_pt.py").write_text("")
    message = message_of("squad_v1_pt", split="train")
    assert "found squad_v1_pt.py" in message
    assert "run no loading scripts" in message


@pytest.mark.usefixtures("hub_cache")
def test_a_folder_goes_before_a_hub_id(tmp_path: Path) -> None:
    lay_out_datasets_cache(tmp_path, "org/name", {"train": 2})
    (tmp_path / "org" / "name").mkdir(parents=True)
    pq.write_table(table_of(rows_of(5, "x")), tmp_path / "org" / "name" / "train.parquet")
    assert len(load_examples("org/name", split="train", cache_dir=tmp_path)) == 5
