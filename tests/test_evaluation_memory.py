"""The memory of a whole evaluation: candidates, answers, scores and files."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

WINDOWS = 20_000
TOKENS = 4_096

# In a process of its own: the heap is not yet in pieces. Memory is what the process itself holds;
# the features' and examples' files are mapped, as in a run. The callback gets what Lightning gives.
EVALUATION = """
import json, re, sys, threading
from pathlib import Path
from types import SimpleNamespace
import datasets, torch
from qa_lightning import AnswerEvaluation

torch.set_num_threads(1)
folder, windows, tokens = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
BATCH, SHARD, QUESTION = 8, 500, 16

def on_disk(name, row):
    datasets.Dataset.from_list([row] * SHARD).save_to_disk(folder / name)
    shard = datasets.load_from_disk(folder / name)
    return datasets.concatenate_datasets([shard] * (windows // SHARD))

def beside(long, short):
    return datasets.concatenate_datasets([long, datasets.Dataset.from_dict(short)], axis=1)

context = "rios " * (tokens - QUESTION)
offsets = [5 * (place // 2) + 4 * (place % 2) for place in range(2 * (tokens - QUESTION))]
# Two windows for every fourth question.
example_of = [row for row in range(windows) for _ in range(1 + (row % 4 == 3))][:windows]
count = 1 + example_of[-1]
split = SimpleNamespace(
    features=beside(
        on_disk("offsets", {"context_offsets": offsets}), {"example_index": example_of}
    ),
    examples=beside(on_disk("contexts", {"context": context}).select(range(count)), {
        "id": [f"question {row}" for row in range(count)],
        "question": ["Quem?"] * count,
        "answers": [{"text": [context[10:19]], "answer_start": [10]}] * count,
        "spans": [{"start_char": [10], "end_char": [19], "status": ["exact"], "confidence": [1.0]}]
        * count,
    }),
)
data = SimpleNamespace(split=lambda stage: split, hparams={"language": "pt"})
trainer = SimpleNamespace(
    datamodule=data, sanity_checking=False, is_global_zero=True, default_root_dir=folder / "run",
    current_epoch=0, global_step=0, state=SimpleNamespace(fn=None), fast_dev_run=False,
)
module = SimpleNamespace(device=torch.device("cpu"), log=lambda *a, **k: None)
attention_mask = torch.ones(BATCH, tokens, dtype=torch.long)
context_mask = torch.arange(tokens).expand(BATCH, -1) >= QUESTION
first_token = torch.zeros(BATCH, dtype=torch.long)
evaluation = AnswerEvaluation()

def evaluate(last):
    evaluation.on_validation_epoch_start(trainer, module)
    for first in range(0, last, BATCH):
        start_logits, end_logits = torch.randn(2, BATCH, tokens)
        evaluation.on_validation_batch_end(
            trainer, module,
            {"start_logits_bl": start_logits, "end_logits_bl": end_logits,
             "loss_b": torch.rand(BATCH)},
            {"context_mask": context_mask, "attention_mask": attention_mask,
             "cls_positions": first_token, "start_positions": first_token,
             "feature_index": torch.arange(first, first + BATCH)},
            first // BATCH,
        )
    evaluation.on_validation_epoch_end(trainer, module)

def megabytes():
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"RssAnon:\\s+(\\d+)", status)[1]) / 1024

evaluate(BATCH)  # a partial pass: libraries warm up
before = peak = megabytes()
finished = threading.Event()

def watch():
    global peak
    while not finished.wait(0.01):
        peak = max(peak, megabytes())

watcher = threading.Thread(target=watch, daemon=True)
watcher.start()
evaluate(windows)
finished.set()
watcher.join()
print(json.dumps({"megabytes": peak - before, "answers": len(evaluation.latest.answers),
                  "questions": count, "spans": len(evaluation.latest.answers[0].answers)}))
"""


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("evaluated")
    command = [sys.executable, "-c", EVALUATION, str(folder), str(WINDOWS), str(TOKENS)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=600)
    files = {path.stem: path.stat().st_size for path in (folder / "run").rglob("*.json")}
    return {**json.loads(done.stdout.splitlines()[-1]), "files": files}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_an_evaluation_of_80_million_tokens_takes_less_than_300_megabytes(
    evaluated: dict[str, Any],
) -> None:
    assert evaluated["answers"] == evaluated["questions"] == 16_000
    assert evaluated["spans"] == 20
    assert evaluated["files"]["nbest_predictions"] > 20_000_000  # all of it was written
    assert evaluated["megabytes"] < 300
