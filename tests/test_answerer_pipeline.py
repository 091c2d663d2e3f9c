"""The drop-in for transformers' removed question-answering pipeline."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from torch.utils.data import Dataset, IterableDataset

import running
from answerer_support import write_checkpoint
from qa_lightning.answerer import QuestionAnswerer, QuestionAnsweringPipeline

ROW, OTHER = running.rows_of(2)
QUESTION, CONTEXT = ROW["question"], ROW["context"]


@pytest.fixture(scope="module")
def answerer(tmp_path_factory: pytest.TempPathFactory) -> QuestionAnswerer:
    path = write_checkpoint(tmp_path_factory.mktemp("run") / "best.ckpt")
    return QuestionAnswerer.from_checkpoint(path, device="cpu")


@pytest.fixture(scope="module")
def pipeline(answerer: QuestionAnswerer) -> QuestionAnsweringPipeline:
    return answerer.as_pipeline()


def test_one_question_gives_one_dict(pipeline: QuestionAnsweringPipeline) -> None:
    result = pipeline(question=QUESTION, context=CONTEXT)
    assert isinstance(result, dict)
    assert set(result) == {"score", "start", "end", "answer"}
    assert result["answer"] == CONTEXT[result["start"] : result["end"]]
    assert 0 < result["score"] < 1


def test_all_ways_to_ask_give_the_same(pipeline: QuestionAnsweringPipeline) -> None:
    row = {"question": QUESTION, "context": CONTEXT}
    expected = pipeline(question=QUESTION, context=CONTEXT)
    ways: list[Any] = [
        pipeline(QUESTION, CONTEXT),
        pipeline(row),
        pipeline([row]),
        pipeline({"question": [QUESTION], "context": CONTEXT}),
        pipeline(question=[QUESTION], context=[CONTEXT]),
    ]
    assert all(way == expected for way in ways)
    several = [
        pipeline([row, row]),
        pipeline(row, row),
        pipeline(question=[QUESTION, QUESTION], context=CONTEXT),
        list(pipeline(r for r in (row, row))),
    ]
    for results in several:
        assert [(r["start"], r["end"]) for r in results] == [
            (expected["start"], expected["end"])
        ] * 2


class Rows(Dataset[dict[str, str]]):
    """As the data sets that the pipeline was given: a length and rows, and nothing that ends."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, row: int) -> dict[str, str]:
        return {"question": QUESTION, "context": CONTEXT}


class Stream(IterableDataset[dict[str, str]]):
    def __iter__(self) -> Iterator[dict[str, str]]:
        return iter([Rows()[0], Rows()[1]])


@pytest.mark.parametrize("dataset", [Rows(), Stream()])
def test_a_torch_data_set_gives_an_iterator(
    pipeline: QuestionAnsweringPipeline, dataset: Dataset[dict[str, str]]
) -> None:
    results = pipeline(dataset)
    assert isinstance(results, Iterator)
    assert [r["answer"] for r in results] == [pipeline(QUESTION, CONTEXT)["answer"]] * 2


def test_top_k_gives_a_list(pipeline: QuestionAnsweringPipeline) -> None:
    results = pipeline(question=QUESTION, context=CONTEXT, top_k=3)
    assert isinstance(results, list)
    assert len(results) == 3
    assert [r["score"] for r in results] == sorted((r["score"] for r in results), reverse=True)
    assert pipeline(question=QUESTION, context=CONTEXT, topk=3) == results
    batch = pipeline(
        question=[QUESTION, OTHER["question"]], context=[CONTEXT, OTHER["context"]], top_k=2
    )
    assert [len(r) for r in batch] == [2, 2]


def test_settings_reach_the_windows(
    answerer: QuestionAnswerer, pipeline: QuestionAnsweringPipeline
) -> None:
    tokenizer = answerer.reader.tokenizer
    results = pipeline(question=QUESTION, context=CONTEXT, top_k=20, max_answer_len=1)
    assert all(len(tokenizer.tokenize(" " + r["answer"])) <= 2 for r in results)
    shorter = answerer.with_settings(max_length=48, doc_stride=8, max_answer_length=15)
    expected = shorter.answer(QUESTION, CONTEXT)[0]
    result = pipeline(question=QUESTION, context=CONTEXT, max_seq_len=48, doc_stride=8)
    assert (result["start"], result["end"]) == (expected.start_char, expected.end_char)
    ignored = pipeline(
        question=QUESTION, context=CONTEXT, padding=True, batch_size=4, num_workers=2
    )
    assert ignored == pipeline(question=QUESTION, context=CONTEXT)


def test_threads_get_equal_results(pipeline: QuestionAnsweringPipeline) -> None:
    def ask(number: int) -> Any:
        return pipeline(question=QUESTION, context=CONTEXT, max_seq_len=48 + 4 * (number % 4))

    expected = [ask(number) for number in range(4)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(40))) == expected * 10


def test_no_answer_competes_only_when_asked_for(pipeline: QuestionAnsweringPipeline) -> None:
    never = pipeline(question=QUESTION, context=CONTEXT, top_k=500, max_answer_len=1)
    assert all(r["answer"] for r in never)
    results = pipeline(
        question=QUESTION,
        context=CONTEXT,
        top_k=500,
        max_answer_len=1,
        handle_impossible_answer=True,
    )
    (none,) = [r for r in results if not r["answer"]]
    assert (none["start"], none["end"]) == (0, 0)
    assert sum(r["score"] for r in results) == pytest.approx(1, abs=0.02)


def test_a_short_window_takes_a_short_overlap(
    answerer: QuestionAnswerer, pipeline: QuestionAnsweringPipeline
) -> None:
    expected = answerer.with_settings(max_length=30, doc_stride=15, max_answer_length=15)
    result = pipeline(question="Quem?", context=CONTEXT, max_seq_len=30)
    assert result["start"] == expected.answer("Quem?", CONTEXT).start_char
    assert answerer.reader.windows.doc_stride == 16


@pytest.mark.parametrize("top_k", [1, 3])
def test_a_blank_context_gives_the_pipelines_empty_answer(
    pipeline: QuestionAnsweringPipeline, top_k: int
) -> None:
    empty = {"score": 0.0, "start": 0, "end": 0, "answer": ""}
    assert pipeline(question=QUESTION, context=" ", top_k=top_k) == empty
    several = pipeline(question=[QUESTION, QUESTION], context=[CONTEXT, " "])
    assert several[1] == empty
    assert several[0]["answer"]
    with pytest.raises(ValueError, match="got an empty one"):
        pipeline(question=QUESTION, context="")


@pytest.mark.parametrize(
    "given",
    [
        {"question": {"question": QUESTION, "context": CONTEXT}, "context": CONTEXT},
        {"question": QUESTION, "context": {"context": CONTEXT}},
        {"question": 3, "context": CONTEXT},
        {"question": {QUESTION}, "context": CONTEXT},
        {"question": QUESTION, "context": frozenset({CONTEXT})},
        {"question": QUESTION.encode(), "context": CONTEXT},
    ],
)
def test_dictionaries_sets_and_numbers_are_no_texts(
    pipeline: QuestionAnsweringPipeline, given: Any
) -> None:
    with pytest.raises(
        ValueError, match=r"a text or a list of texts; got a (dict|int|set|frozenset|bytes)"
    ):
        pipeline(**given)


@pytest.mark.parametrize("inputs", [["a?", "b"], [("a?",)], [{"question": "a?"}], [5]])
def test_inputs_of_another_form_are_refused(
    pipeline: QuestionAnsweringPipeline, inputs: list[Any]
) -> None:
    with pytest.raises(ValueError, match="row 0"):
        pipeline(inputs)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"question": "a?", "context": ""}, "got an empty one"),
        ({"question": "", "context": "b"}, "got an empty one"),
        ({"question": "a?"}, "got no `context`"),
        ({"question": "a?", "context": "b", "max_seq_len": 79}, "at most 78 tokens"),
        ({"question": ["a?", "b?"], "context": ["c"]}, "2 questions and 1 contexts"),
        ({"question": "a?", "context": "b", "top_k": 0}, "`top_k`"),
        ({"question": "a?", "context": "b", "max_answer_len": 0}, "`max_answer_len`"),
        ({"question": "a?", "context": "b", "max_seq_len": 8, "doc_stride": 9}, "doc_stride"),
    ],
)
def test_mistakes_are_value_errors(
    pipeline: QuestionAnsweringPipeline, keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        pipeline(**keys)
