"""Answer questions on documents of any length, word for word, by the network in this folder.

``python answer.py "QUESTION" DOCUMENT.txt`` needs onnxruntime, numpy and tokenizers, no more.
Axes: l tokens of a window, n those of the document in it, d lengths of an answer less one.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime import InferenceSession
from tokenizers import Tokenizer

from qa_lightning.borders import word_borders

Span = tuple[int, int, float]


class Answerer:
    """Answer as the checkpoint does that a folder was exported from."""

    def __init__(self, folder: Path, model: str = "model.onnx") -> None:
        stored = json.loads((folder / "qa_lightning.json").read_text(encoding="utf-8"))
        self.settings = stored["windows"] | stored["decision"]
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.encode_special_tokens = self.settings["split_special_tokens"]
        self.session = InferenceSession(folder / model, providers=["CPUExecutionProvider"])
        self.inputs = [tensor.name for tensor in self.session.get_inputs()]

    def answer(self, question: str, document: str) -> dict[str, Any]:
        """Return the answer, null where there is none, and the other best ones."""
        s = self.settings
        if not (isinstance(question, str) and isinstance(document, str) and question.strip()):
            raise ValueError("Expected a question that is not blank, and the text of a document.")
        asked, read = map(self._tokens, (question.lstrip(), document))
        asked_ids = asked.ids[: s["max_question_length"]]
        offset_n2 = np.array(read.offsets, int).reshape(-1, 2)
        border_n2 = word_borders(document)[offset_n2] if s["word_borders"] else offset_n2 >= 0
        room = s["max_length"] - sum(map(len, s["special_tokens"])) - len(asked_ids)
        step, count = room - s["doc_stride"], len(read.ids)
        if step <= 0:
            raise ValueError(
                "Expected a shorter question; it leaves a window no room for the document."
            )
        spans: dict[tuple[int, int], float] = {}
        null_scores = []
        for low in range(0, max(0, count - room) + step, step):
            part = slice(low, low + room)
            if s["from_the_end"]:
                part = slice(max(0, count - low - room), count - low)
            found, null_score = self._best_spans(asked_ids, read.ids[part], border_n2[part])
            null_scores.append(null_score)
            for first, last, score in found:
                begin, end = offset_n2[part][first, 0].item(), offset_n2[part][last, 1].item()
                begin += len(document[begin:end]) - len(document[begin:end].lstrip())
                place = begin, begin + len(document[begin:end].rstrip())
                if place[0] < place[1]:
                    spans[place] = max(score, spans.get(place, -np.inf))
        return self._decided(document, spans, min(null_scores))

    def _tokens(self, text: str) -> Any:
        sound = re.sub("[\ud800-\udfff]", "\ufffd", text)  # half a character has no UTF-8 form
        return self.tokenizer.encode(sound, add_special_tokens=False)

    def _best_spans(
        self, asked: list[int], context: list[int], border_n2: Any
    ) -> tuple[list[Span], float]:
        """Return a window's best spans, by their tokens in the context, and its null score."""
        s, (before, between, after) = self.settings, self.settings["special_tokens"]
        asked_part, context_part = (1, 3) if s["question_first"] else (3, 1)
        first, second = (asked, context) if s["question_first"] else (context, asked)
        parts = before, first, between, second, after
        part_l = np.repeat(np.arange(5), [len(part) for part in parts])
        place_l = np.arange(len(part_l))
        cls = np.flatnonzero(part_l == 2 * s["cls"][0])[s["cls"][1]]
        attends_l = np.isin(place_l, s["global_columns"])
        attends_l |= (part_l == asked_part) & s["global_question"]
        attends_l |= (place_l == cls) & s["global_cls"]
        given = {
            "input_ids": [*before, *first, *between, *second, *after],
            "attention_mask": place_l >= 0,
            "token_type_ids": part_l >= 3,
            "global_attention_mask": attends_l,
        }
        feed = {name: np.array([given[name]], np.int64) for name in self.inputs}
        start_l, end_l = (x[0] for x in self.session.run(["start_logits", "end_logits"], feed))
        null = float(start_l[cls] + end_l[cls])
        total = sum(np.log(np.exp(x - x.max()).sum()) + x.max() for x in (start_l, end_l))
        origins = {"raw": 0.0, "relative": null, "log_probability": float(total)}
        origin, most = origins[s["window_scoring"]], s["max_answer_length"]
        start_n = np.where(border_n2[:, 0], start_l[part_l == context_part], -np.inf)
        end_n = np.where(border_n2[:, 1], end_l[part_l == context_part], -np.inf)
        end_m = np.append(end_n, np.full(most, -np.inf, np.float32))
        end_nd = np.lib.stride_tricks.sliding_window_view(end_m, most)[: len(end_n)]
        score_nd = start_n[:, None] + end_nd
        best = np.argsort(-score_nd, axis=None, kind="stable")[: s["n_best"]].tolist()
        found = [(i // most, i // most + i % most, float(score_nd.flat[i]) - origin) for i in best]
        return [span for span in found if span[2] > -np.inf], null - origin

    def _decided(
        self, document: str, spans: dict[tuple[int, int], float], null_score: float
    ) -> dict[str, Any]:
        s, ranked = self.settings, sorted(spans.items(), key=lambda span: (-span[1], span[0]))
        scores = np.array([score for _, score in ranked[: s["n_best"]]] + [null_score])
        weights = np.exp((scores - scores.max()) / s["temperature"])
        *confidences, no_answer = (weights / weights.sum()).tolist()
        keys = ("text", "start_char", "end_char", "score", "confidence")
        n_best = [
            dict(zip(keys, (document[begin:end], begin, end, score, confidence), strict=True))
            for ((begin, end), score), confidence in zip(ranked, confidences, strict=False)
        ]
        is_none = s["no_answer"] and null_score - scores[0] > (s["null_score_threshold"] or 0.0)
        answer = n_best[0] if n_best and not is_none else None
        knows = no_answer if s["no_answer"] else None  # of what it never saw it knows nothing
        return {"answer": answer, "no_answer_probability": knows, "n_best": n_best}


def main(arguments: list[str]) -> str | None:
    """Write the answer as JSON, in UTF-8 wherever it goes; return what is wrong."""
    if len(arguments) != 2:
        return 'Expected: python answer.py "QUESTION" DOCUMENT.txt'
    question, file = arguments
    try:
        # As it stands: other ends of lines are other tokens, and other places in the file.
        document = Path(file).read_bytes().decode("utf-8-sig")
        told = Answerer(Path(__file__).parent).answer(question, document)
    except (OSError, UnicodeDecodeError) as error:
        return f"Expected a text in UTF-8; {file}: {error}"
    except ValueError as error:
        return str(error)
    sys.stdout.buffer.write(json.dumps(told, ensure_ascii=False, indent=2).encode() + b"\n")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
