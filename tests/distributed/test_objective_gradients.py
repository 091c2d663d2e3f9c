"""A step's gradient is that of its whole batch, on however many processes and micro-batches."""

from pathlib import Path
from typing import Any

import pytest
import torch

from launching import launch_several
from running import NETWORK, read_checkpoint, rows_of, run, write_rows, write_yaml

pytestmark = [pytest.mark.two_process]

DOCUMENT = ("--model.objective", "document", "--data.windows_per_document", "2")
WEIGHTED = ("--model.confidence_weighting", "true")
# What is trained; then on how many processes, in batches of what size, how many a step.
CASES: dict[str, tuple[tuple[str, ...], list[tuple[int, int, int]]]] = {
    "document": (DOCUMENT, [(1, 8, 1), (1, 2, 4), (2, 2, 2), (2, 4, 1)]),
    "document-weighted": ((*DOCUMENT, *WEIGHTED), [(1, 8, 1), (2, 4, 1)]),
    "any_answer": (("--model.objective", "any_answer"), [(1, 8, 1), (2, 2, 2)]),
    "first_answer-weighted": (WEIGHTED, [(1, 8, 1), (2, 4, 1)]),
    "no-global-tokens": (("--data.global_attention", "[]"), [(1, 8, 1), (2, 2, 2)]),
}


@pytest.fixture(scope="module")
def steps(small_files: dict[str, Path], tmp_path_factory: Any) -> dict[Any, list[Any]]:
    """Return what each rank wrote of one step, by case, processes, batch size, accumulation."""
    folder = tmp_path_factory.mktemp("objectives")
    rows = rows_of(16)
    for row in rows[::3]:  # found again, with less confidence than the others
        row["answers"] = {"text": [f"{row['answers']['text'][0]} antiga"], "answer_start": [0]}
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    settings = {
        "data": {
            "data_files": {
                "train": str(write_rows(folder / "train.json", rows)),
                "validation": str(small_files["validation"]),
            },
            "tokenizer": str(small_files["tokenizer"]),
            "language": "pt",
            "alignment_threshold": 0.0,
            "max_length": 64,
            "doc_stride": 16,
            "group_by_length": False,  # the first eight are then the same at every batch size
        },
        "model": {"config": {**NETWORK, **dropout}},
        "trainer": {
            "accelerator": "cpu",
            "max_steps": 1,
            "limit_val_batches": 0,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "callbacks": [{"class_path": "ranks.Gradients"}],
        },
    }
    config = str(write_yaml(folder / "step.yaml", settings))
    commands = {
        (case, way): _fit(config, folder / f"{case}-{'-'.join(map(str, way))}", arguments, way)
        for case, (arguments, ways) in CASES.items()
        for way in ways
    }
    for (_, way), command in commands.items():
        if way[0] == 1:
            run(*command)
    two = [command for (_, way), command in commands.items() if way[0] == 2]
    launch_several(two, world_size=2)
    return {
        (case, way): [
            read_checkpoint(folder / f"{case}-{'-'.join(map(str, way))}" / f"gradients{rank}.pt")
            for rank in range(way[0])
        ]
        for case, way in commands
    }


def _fit(
    config: str, root: Path, arguments: tuple[str, ...], way: tuple[int, int, int]
) -> list[str]:
    return [
        "fit", "--config", config, *arguments, "--trainer.default_root_dir", str(root),
        "--data.batch_size", str(way[1]), "--trainer.accumulate_grad_batches", str(way[2]),
    ]  # fmt: skip


OTHERS = [(case, way) for case, (_, ways) in CASES.items() for way in ways[1:]]


@pytest.mark.parametrize(("case", "way"), OTHERS, ids=str)
def test_the_gradient_is_that_of_the_whole_batch(
    case: str, way: tuple[int, int, int], steps: dict[Any, list[Any]]
) -> None:
    (whole,) = steps[case, CASES[case][1][0]]
    ranks = steps[case, way]
    served = [index for rank in ranks for batch in rank["windows"] for index in batch]
    (expected,) = whole["windows"]
    assert sorted(served) == sorted(expected)
    assert all(len(rank["windows"]) == way[2] for rank in ranks)
    assert sum(rank["documents"] for rank in ranks) == whole["documents"]
    assert any(whole["gradients"][name].abs().max() > 1e-4 for name in whole["gradients"])
    for rank in ranks:
        for name, gradient in whole["gradients"].items():
            torch.testing.assert_close(
                rank["gradients"][name], gradient, rtol=1e-3, atol=1e-6, msg=name
            )


def test_what_was_compared_could_differ(steps: dict[Any, list[Any]]) -> None:
    (whole,) = steps["document", (1, 8, 1)]
    assert whole["documents"] == 8
    assert len(whole["windows"][0]) > 8
    # The processes' windows, and the sums of their weights, are not the same.
    ranks = steps["document", (2, 2, 2)]
    assert ranks[0]["windows"] != ranks[1]["windows"]
    for case in ("document-weighted", "first_answer-weighted"):
        sums = [sum(rank["weights"]) for rank in steps[case, (2, 4, 1)]]
        assert abs(sums[0] - sums[1]) > 0.2
