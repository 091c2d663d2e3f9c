"""The table of bad input: what a user may give by mistake, and what must be told."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROW: dict[str, Any] = {
    "id": "q7",
    "title": "t",
    "context": "Lima is in Peru",
    "question": "Where?",
    "answers": {"text": ["Lima"], "answer_start": [0]},
}


class BadFile(NamedTuple):
    """Hold a data file: its name, what is in it, and words that the message has."""

    name: str
    content: bytes
    told: tuple[str, ...]


def _rows(*changes: dict[str, Any]) -> bytes:
    """Return JSON Lines of a good row and of rows that differ in some values."""
    rows = [{**ROW, "id": "first"}, *({**ROW, **change} for change in changes)]
    kept = [{name: value for name, value in row.items() if value is not ...} for row in rows]
    return "\n".join(map(json.dumps, kept)).encode()


def _answers(**change: Any) -> bytes:
    return _rows({"answers": {**ROW["answers"], **change}})


DEEP = 100_000

BROKEN_FILES = [
    BadFile("empty.json", b"", ("empty.json",)),
    BadFile("blank.json", b"  \n\t\n", ("blank.json",)),
    BadFile("cut.json", b'{"data": [{"title": "t", "par', ("cut.json", "breaks at line 1")),
    BadFile("brace.json", b"}", ("brace.json",)),
    BadFile("number.json", b"5", ("number.json",)),
    BadFile("text.json", b'"text"', ("text.json",)),
    BadFile("null.json", b"null", ("null.json",)),
    BadFile("list.json", b"[1, 2]", ("list.json", "row 1")),
    BadFile("none.json", b"[]", ("selects none",)),
    BadFile("nodata.json", b'{"data": []}', ("selects none",)),
    BadFile("object.json", b'{"a": 1}', ("object.json", "'a'")),
    BadFile("deep.json", b"[" * DEEP + b"]" * DEEP, ("deep.json", "nested too deep")),
    BadFile("deepobj.json", b'{"data":' * DEEP + b"1" + b"}" * DEEP, ("nested too deep",)),
    BadFile("digits.json", b"[" + b"9" * 10_000 + b"]", ("digits.json", "number too long")),
    BadFile("twice.json", b'[{"id": "a",\n "id": "b"}]', ("twice.json", "'id'", "twice", "line 1")),
    BadFile("html.json", b"<html><body>404</body></html>", ("html.json",)),
    BadFile("lfs.json", b"version https://git-lfs.github.com/spec/v1\noid x\n", ("lfs.json",)),
    BadFile("empty.jsonl", b"", ("selects none",)),
    BadFile("cut.jsonl", _rows() + b'\n{"id": "q', ("cut.jsonl, line 2", "is no JSON")),
    BadFile("list.jsonl", _rows() + b"\n[1]", ("line 2", "no object")),
    BadFile("twice.jsonl", _rows() + b'\n{"id": 1, "id": 2}', ("line 2", "'id'", "twice")),
    BadFile("deep.jsonl", _rows() + b"\n" + b"[" * DEEP, ("line 2", "too deep")),
    BadFile("digits.jsonl", _rows() + b'\n{"id": ' + b"1" * 9_999 + b"}", ("line 2", "too long")),
    BadFile("header.csv", b"context,question\n", ("selects none",)),
    BadFile("empty.csv", b"", ("selects none",)),
    BadFile("quote.csv", b'id,context\n1,"open\n', ("quote.csv",)),
    BadFile("columns.csv", b"a,b\n1,2\n", ("columns.csv", "a, b", "columns")),
    BadFile("no.parquet", b"PAR1 not really", ("no.parquet",)),
    BadFile("empty.parquet", b"", ("empty.parquet",)),
    BadFile("cut.json.gz", gzip.compress(b'{"data": []}')[:-9], ("cut.json.gz", "gzip")),
    BadFile("no.json.gz", b"\x1f\x8b\x08 not gzip", ("no.json.gz",)),
    BadFile("weights.bin", bytes(range(256)), ("weights.bin", "kind")),
    BadFile("notes.txt", b"notes", ("notes.txt", "kind")),
]

FAULTY_ROWS = [
    (_rows({"context": ...}), "`context` is missing"),
    (_rows({"question": ...}), "`question` is missing"),
    (_rows({"answers": ...}), "`answers` is missing"),
    (_rows({"context": None}), "`context`"),
    (_rows({"context": 7}), "`context` is"),
    (_rows({"context": ["a"]}), "`context` is a list"),
    (_rows({"context": {"a": 1}}), "`context` is"),
    (_rows({"question": 1.5}), "`question` is"),
    (_rows({"question": False}), "`question` is"),
    (_rows({"question": "a\ud800b"}), "lone surrogate"),
    (_rows({"title": []}), "`title` is"),
    (_rows({"answers": 5}), "`answers` is"),
    (_rows({"answers": {"text": {"a": 1}}}), "a text that is an object"),
    (_rows({"answers": {"answer_start": [3]}}), "`answers` has the keys"),
    (_rows({"answers": [["a", 0]]}), "`answers` holds"),
    (_answers(answer_start=[0, 1]), "`answers` has 1 text and 2 answer_start"),
    (_answers(answer_start=["zero"]), "the answer_start 'zero'"),
    (_answers(answer_start=[0.5]), "the answer_start 0.5"),
    (_answers(answer_start=[True]), "the answer_start True"),
    (_answers(answer_start=[-5]), "the answer_start -5"),
    (_answers(answer_start=[2**40]), "the answer_start 1099511627776"),
    (_answers(text=[5]), "`answers` has a text that is"),
    (_answers(text=["\udc80"]), "lone surrogate"),
    (_rows({"is_impossible": "maybe"}), "`is_impossible` is 'maybe'"),
]

# Keys of fit that cannot have a value, and what of the message is its own.
WRONG_VALUES: list[tuple[str, object, str]] = [
    ("data.dataset", "", "`data.dataset`"),
    ("data.data_files", {"train": "absent.json", "validation": "absent2.json"}, "absent2.json"),
    ("data.data_files", {}, "`data.data_files`"),
    ("data.data_files", {"train": []}, "`data.data_files`"),
    ("data.train_split", "tran", "`data.train_split`"),
    ("data.train_split", "train[:0%]", "`data.train_split`"),
    ("data.train_split", "train[5:2]", "`data.train_split`"),
    ("data.train_split", "train[", "`data.train_split`"),
    ("data.val_split", "validation[:x]", "`data.val_split`"),
    ("data.val_split", "", "`data.val_split`"),
    ("data.columns", {"contexts": "passage"}, "contexts"),
    ("data.columns", {"context": "passage"}, "passage"),
    ("data.language", "xx", "`data.language`"),
    ("data.language", "", "data.language"),
    ("data.tokenizer", "no/such/folder/here", "`data.tokenizer`"),
    ("data.tokenizer", " ", "`data.tokenizer`"),
    ("data.max_length", 0, "`data.max_length`"),
    ("data.max_length", 10**12, "`data.max_length`"),
    ("data.max_length", 20, "data.max_length"),
    ("data.doc_stride", 64, "`data.doc_stride`"),
    ("data.doc_stride", -1, "`data.doc_stride`"),
    ("data.max_question_length", 0, "`data.max_question_length`"),
    ("data.separators", 5, "`data.separators`"),
    ("data.global_attention", "all", "`data.global_attention`"),
    ("data.global_attention", [64], "`data.global_attention`"),
    ("data.global_attention", [-1], "`data.global_attention`"),
    ("data.alignment", "fix", "`data.alignment`"),
    ("data.alignment_threshold", 1.5, "`data.alignment_threshold`"),
    ("data.negative_windows", -0.1, "`data.negative_windows`"),
    ("data.batch_size", 0, "`data.batch_size`"),
    ("data.batch_size", "many", "data.batch_size"),
    ("data.eval_batch_size", -4, "`data.eval_batch_size`"),
    ("data.pad_to", "shortest", "`data.pad_to`"),
    ("data.num_workers", -1, "`data.num_workers`"),
    ("data.num_workers", 10**6, "`data.num_workers`"),
    ("data.num_proc", 0, "`data.num_proc`"),
    ("data.num_proc", -1, "`data.num_proc`"),
    ("data.seed", -1, "`data.seed`"),
    ("data.seed", 2**32, "`data.seed`"),
    ("data.cache_entries", 0, "`data.cache_entries`"),
    ("data.cache_gib", -1, "`data.cache_gib`"),
    ("data.cache_dir", "LOOP/cache", "`data.cache_dir`"),
    ("data.cache_dir", "FILE/cache", "`data.cache_dir`"),
    ("data.cache_dir", "x" * 300, "`data.cache_dir`"),
    ("data.group_by_length", None, "`data.group_by_length`"),
    ("data.nonsense", 1, "data.nonsense"),
    ("model.config", None, "`model.config`"),
    ("model.config.hidden_size", 0, "`model.config.hidden_size`"),
    ("model.config.hidden_size", -8, "`model.config.hidden_size`"),
    ("model.config.num_attention_heads", 0, "`model.config.num_attention_heads`"),
    ("model.config.num_attention_heads", 3, "`model.config`"),
    ("model.config.attention_window", 7, "`model.config`"),
    ("model.config.vocab_size", 10, "vocab_size"),
    ("model.config.hiden_size", 8, "hiden_size"),
    ("model.config.model_type", "gpt2", "`model.config.model_type`"),
    ("model.config.model_type", 5, "`model.config.model_type`"),
    ("model.config.hidden_act", "bogus", "`model.config`"),
    ("model.model_name_or_path", "no/such/folder/here", "model"),
    ("model.attention", "fast", "`model.attention`"),
    ("model.objective", "best", "`model.objective`"),
    ("model.label_smoothing", 1.0, "`model.label_smoothing`"),
    ("model.learning_rate", 0, "`model.learning_rate`"),
    ("model.learning_rate", float("inf"), "`model.learning_rate`"),
    ("model.learning_rate", float("nan"), "`model.learning_rate`"),
    ("model.learning_rate", None, "`model.learning_rate`"),
    ("model.head_learning_rate", -1, "`model.head_learning_rate`"),
    ("model.layer_decay", 0, "`model.layer_decay`"),
    ("model.weight_decay", float("inf"), "`model.weight_decay`"),
    ("model.adam_betas", [0.9, 1.0], "`model.adam_betas`"),
    ("model.adam_betas", [0.9], "model.adam_betas"),
    ("model.warmup_ratio", 1.5, "`model.warmup_ratio`"),
    ("model.lr_schedule", "cubic", "`model.lr_schedule`"),
    ("model.schedule_steps", 0, "`model.schedule_steps`"),
    ("model.lora", {"r": 0}, "`model.lora.r`"),
    ("model.lora", {"rank": 4}, "'rank'"),
    ("model.lora", {"target_modules": ["bogus"]}, "`model.lora.target_modules`"),
    ("evaluation.n_best", 0, "`evaluation.n_best`"),
    ("evaluation.n_best", 10**12, "`evaluation.n_best`"),
    ("evaluation.max_answer_length", -1, "`evaluation.max_answer_length`"),
    ("evaluation.null_score_threshold", float("nan"), "`evaluation.null_score_threshold`"),
    ("evaluation.window_scoring", "mean", "`evaluation.window_scoring`"),
    ("evaluation.search", "beam", "`evaluation.search`"),
    ("evaluation.language", "zz", "`evaluation.language`"),
    ("evaluation.metrics", ["no-such-metric"], "no-such-metric"),
    ("evaluation.metrics", [""], "`evaluation.metrics`"),
    ("evaluation.output_dir", "FILE", "`evaluation.output_dir`"),
    ("checkpoint.monitor", "val/em", "`checkpoint.monitor`"),
    ("checkpoint.monitor", None, "`checkpoint.monitor`"),
    ("checkpoint.mode", "best", "checkpoint.mode"),
    ("checkpoint.dirpath", "LOOP", "`checkpoint.dirpath`"),
    ("checkpoint.every_n_train_steps", 0, "`checkpoint.every_n_train_steps`"),
    ("checkpoint.every_n_minutes", -1, "`checkpoint.every_n_minutes`"),
    ("prediction.n_best", 0, "`prediction.n_best`"),
    ("prediction.file_format", "xml", "`prediction.file_format`"),
    ("prediction.output_dir", "FILE/x", "`prediction.output_dir`"),
    ("tracking.table_rows", 0, "`tracking.table_rows`"),
    ("tracking.watch", "everything", "tracking.watch"),
    ("tracking.watch_every", 0, "`tracking.watch_every`"),
    ("trainer", 5, "`trainer:`"),
    ("data", "demo", "`data:`"),
    ("model", [], "`model:`"),
    ("trainer.accelerator", "abacus", "abacus"),
    ("trainer.devices", 0, "devices"),
    ("trainer.precision", "7-bit", "precision"),
    ("trainer.max_epochs", -2, "`trainer.max_epochs`"),
    ("trainer.max_epochs", -1, "`model.schedule_steps`"),
    ("trainer.max_steps", -3, "`trainer.max_steps`"),
    ("trainer.max_time", "soon", "duration"),
    ("trainer.accumulate_grad_batches", 0, "`trainer.accumulate_grad_batches`"),
    ("trainer.gradient_clip_val", -1.0, "`trainer.gradient_clip_val`"),
    ("trainer.val_check_interval", 1.5, "val_check_interval"),
    ("trainer.val_check_interval", 10_000, "`trainer.val_check_interval`"),
    ("trainer.val_check_interval", 0, "`trainer.val_check_interval` above 0"),
    ("trainer.val_check_interval", -0.5, "`trainer.val_check_interval` above 0"),
    ("trainer.limit_val_batches", -1, "limit_val_batches"),
    ("trainer.check_val_every_n_epoch", 0, "`trainer.check_val_every_n_epoch`"),
    ("trainer.default_root_dir", "FILE", "`trainer.default_root_dir`"),
    ("trainer.callbacks", [{"class_path": "no.such.Callback"}], "no.such"),
    ("seed_everything", -1, "not in bounds"),
    ("ckpt_path", "absent.ckpt", "absent.ckpt"),
    ("nonsense", 1, "nonsense"),
]

BAD_YAML: list[tuple[bytes, str]] = [
    (b"", "nothing"),
    (b"- a\n- b\n", "a list"),
    (b"5", "a int"),
    (b"data: {batch_size: 2\n", "cannot be read"),
    (b"data:\n  batch_size: 2\n\tmax_length: 3\n", "cannot be read"),
    (b"data:\n  batch_size: 2\n  batch_size: 4\n", "'batch_size'"),
    (b"data: {}\nmodel: {}\ndata: {}\n", "'data'"),
    (b"[" * 20_000, "nested"),
    (b"{a: " * 20_000, "nested"),
    (b"\xff\xfe\x00d", "cannot be read"),
    (b"!!python/object/apply:os.system [echo]", "cannot be read"),
    (b"data: *nowhere\n", "cannot be read"),
    (b"a: 2020-99-99\n", "cannot be read"),
]

Options = Callable[[Path], list[str]]


def _options(*words: str) -> Options:
    return lambda folder: [word.replace("DIR", str(folder)) for word in words]


ASK = ("answer", "--checkpoint", "DIR/run/best.ckpt", "--question", "Quem?")

BAD_OPTIONS: list[tuple[Options, str]] = [
    (_options("fit", "--config", "DIR/absent.yaml"), "absent.yaml"),
    (_options("fit", "--config", "DIR"), "DIR"),
    (_options("fit", "--config"), "config"),
    (_options("train"), "'train'"),
    (_options("fit", "--data.batchsize", "3"), "batchsize"),
    (_options("audit", "DIR/absent.json"), "absent.json"),
    (_options("audit", "DIR/loop.json"), "loop.json"),
    (_options("audit", "demo", "--show", "-1"), "--show"),
    (_options("audit", "demo", "--split", "tran"), "tran"),
    (_options("audit", "demo", "--num_proc", "0"), "--num_proc"),
    (_options("audit", "demo", "--threshold", "2"), "`--threshold`"),
    (_options("audit", "demo", "--language", "xx"), "--language"),
    (_options("audit", "demo", "--max_length", "0"), "--max_length"),
    (_options("audit", "demo", "--seed", "-1"), "--seed"),
    (_options("audit", " "), "source"),
    (
        _options("answer", "--checkpoint", "DIR/absent", "--question", "Q", "--context", "C"),
        "absent",
    ),
    (_options("answer", "--checkpoint", "DIR", "--question", "Q", "--context", "C"), "DIR"),
    (_options(*ASK), "`--context` and `--document`"),
    (_options(*ASK, "--context", "C", "--document", "DIR/x"), "both"),
    (_options(*ASK, "--document", "DIR/absent.txt"), "absent.txt"),
    (_options(*ASK, "--context", "C", "--n_best", "0"), "n_best"),
    (_options(*ASK, "--context", "C", "--n_best", "1000000000000"), "n_best"),
    (_options(*ASK, "--context", "C", "--device", "abacus"), "device"),
    (_options("export", "--checkpoint", "DIR/absent", "--output", "DIR/out"), "absent"),
    (_options("export", "--checkpoint", "DIR/run/best.ckpt", "--output", "DIR/file"), "--output"),
    (_options("longify", "DIR/absent", "--output", "DIR/out"), "absent"),
    (_options("cache", "--cache_dir", "DIR", "--remove", "zz"), "zz"),
    (_options("cache", "--cache_dir", "DIR", "--unused_days", "-1"), "unused_days"),
    (_options("validate", "--ckpt_path", "best"), "best.ckpt"),
]
