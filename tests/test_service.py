"""The service: what it lets in, what it answers, and that neither strangers nor deaths stop it."""

import asyncio
import base64
import contextlib
import json
import logging
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.responses import JSONResponse

from answerer_support import write_checkpoint
from documents_support import endless_pdf, write_pdf
from qa_lightning import QuestionAnswerer
from qa_lightning.errors import InputError
from qa_lightning.service import KEY_VARIABLE, Limits, serve
from qa_lightning.service.gate import Gate
from qa_lightning.service.reading import ReaderAPI
from qa_lightning.service.schemas import PredictRequest, bounded

KEY = "a key that nobody guesses"
CONTEXT = "Ana mora em Lisboa desde 1998. O seu irmão Rui mora no Porto. " * 6
QUESTION = "Onde mora Rui?"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("service") / "reader.ckpt")


@pytest.fixture(scope="module")
def api(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> ReaderAPI:
    reader = ReaderAPI("", Limits(), trouble=tmp_path_factory.mktemp("trouble") / "trouble")
    reader.answerer = QuestionAnswerer.from_checkpoint(checkpoint, device="cpu")
    return reader


# What is let in.


def asked(gate: Gate, *requests: tuple[str, str, dict[str, Any]]) -> list[httpx.Response]:
    async def all_of_them() -> list[httpx.Response]:
        transport = httpx.ASGITransport(gate)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            calls = (client.request(method, path, **rest) for method, path, rest in requests)
            return await asyncio.gather(*calls)

    return asyncio.run(all_of_them())


def gate(*, seconds: float = 0.0, key: str | None = None, **limits: Any) -> Gate:
    app = FastAPI()

    @app.post("/predict")
    async def predict(body: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(seconds)
        return body

    @app.get("/health")
    async def health() -> str:
        return "ok"

    return Gate(app, limits=Limits(**limits), key=key)


def test_whoever_has_the_key_comes_in_and_nobody_else() -> None:
    headers = (
        {},
        {"x-api-key": KEY[:-1]},
        {"x-api-key": b"\xc3\xa9"},
        {"authorization": "Bearer"},
        {"x-api-key": KEY},
        {"authorization": f"Bearer {KEY}"},
    )
    requests = [("POST", "/predict", {"headers": each, "json": {"a": 1}}) for each in headers]
    answers = asked(gate(key=KEY), *requests, ("GET", "/health", {}), ("GET", "/metrics", {}))
    assert [answer.status_code for answer in answers] == [401] * 4 + [200] * 3 + [401]
    assert "X-API-Key" in answers[0].json()["error"]["message"]
    assert answers[4].json() == {"a": 1}


def test_bodies_are_bounded_whether_they_tell_their_size_or_not() -> None:
    async def pieces() -> Any:
        for _ in range(40):
            yield b" " * 100

    fitting, large = json.dumps({"a": "x" * 500}), json.dumps({"a": "x" * 5000})
    answers = asked(
        gate(body_mib=0.001),
        ("POST", "/predict", {"content": fitting, "headers": {"content-type": "application/json"}}),
        ("POST", "/predict", {"content": large}),
        ("POST", "/predict", {"content": pieces()}),
        ("POST", "/predict", {"content": b"{}", "headers": {"content-length": "9" * 30}}),
        ("POST", "/predict", {"content": b"{}", "headers": {"content-length": "-1"}}),
    )
    assert [answer.status_code for answer in answers] == [200, 413, 413, 413, 413]


def test_slow_senders_and_full_queues_are_told() -> None:
    async def slowly() -> Any:
        yield b"{"
        await asyncio.sleep(2)
        yield b"}"

    (late,) = asked(gate(sending_seconds=0.1), ("POST", "/predict", {"content": slowly()}))
    assert late.status_code == 408
    many = [("POST", "/predict", {"json": {}})] * 6
    answers = asked(gate(seconds=0.3, queue=4), *many)
    assert sorted(answer.status_code for answer in answers) == [200] * 4 + [503] * 2
    assert {answer.headers.get("retry-after") for answer in answers} == {None, "1"}


def test_what_takes_too_long_is_told_and_holds_no_place() -> None:
    entry = Gate(gate(seconds=0.4).app, limits=Limits(seconds=0.1, queue=1), key=None)

    async def two_and_later() -> list[int]:
        transport = httpx.ASGITransport(entry)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            first = await client.post("/predict", json={})
            second = await client.post("/predict", json={})
            return [first.status_code, second.status_code]

    assert asyncio.run(two_and_later()) == [504, 504]
    assert "in_flight 0.0" in entry.metrics.response().body.decode()


def test_log_and_metrics_hold_no_word_of_what_is_asked(caplog: pytest.LogCaptureFixture) -> None:
    entry = gate()
    with caplog.at_level(logging.INFO, logger="qa_lightning.service.requests"):
        secret = {"question": "segredo?", "context": "o segredo"}
        asked(entry, ("POST", "/predict", {"json": secret}), ("GET", "/segredo?segredo=1", {}))
    lines = [json.loads(line) for line in caplog.messages]
    assert sorted(line["status"] for line in lines) == [200, 404]
    metrics = entry.metrics.response().body.decode()
    assert 'qa_lightning_requests_total{path="/predict",status="200"} 1.0' in metrics
    assert "segredo" not in metrics + "".join(caplog.messages)


@pytest.mark.parametrize("values", [{"queue": 0}, {"seconds": -1.0}, {"body_mib": 0.0}])
def test_limits_that_bound_nothing_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="limits"):
        Limits(**values)


# What is answered.


def test_requests_that_wait_are_answered_together_as_each_alone(api: ReaderAPI) -> None:
    draw = random.Random(0)
    words = CONTEXT.split()
    requests = []
    for number in range(12):
        context = " ".join(draw.sample(words, k=draw.randint(5, len(words))))
        questions = draw.sample(["Onde mora Rui?", "Quem?", "Desde quando?"], k=draw.randint(1, 3))
        documents = [{"name": f"{n}.txt", "text": context[n:]} for n in range(draw.randint(2, 3))]
        source = {"context": context} if number % 3 else {"documents": documents}
        requests.append(
            PredictRequest(
                question=questions,
                n_best=draw.randint(1, 5),
                screen=draw.choice(["all", "auto", 2]),
                threshold=draw.choice([None, -100.0, 100.0]),
                **source,
            )
        )
    together = api.predict(requests)
    for request, answered in zip(requests, together, strict=True):
        assert json.dumps(answered) == json.dumps(api.predict([request])[0])
    simple = requests[1]
    expected = [
        api.answerer.answer(question, simple.context, simple.n_best, screen=simple.screen)
        for question in simple.questions
    ]
    found = together[1]["answers"]
    for answers, entry in zip(expected, found, strict=True):
        spans = [(each["start_char"], each["end_char"]) for each in entry["n_best"]]
        assert spans == [(each.start_char, each.end_char) for each in answers]
        assert entry["n_best"][0]["confidence"] == pytest.approx(answers[0].confidence, rel=1e-5)


def test_a_request_that_fails_costs_no_other_its_answer(
    api: ReaderAPI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = QuestionAnswerer.answer_batch

    def fails_on_one(self: Any, rows: Any, *args: Any, **options: Any) -> Any:
        if any("secret" in row[0] for row in rows):
            raise RuntimeError("secret")
        return whole(self, rows, *args, **options)

    monkeypatch.setattr(QuestionAnswerer, "answer_batch", fails_on_one)
    requests = [
        PredictRequest(question=question, context=CONTEXT)
        for question in (QUESTION, "secret", QUESTION)
    ]
    first, failed, last = api.predict(requests)
    assert first == last
    assert first["answers"][0]["answer"]
    assert isinstance(failed, JSONResponse)
    assert failed.status_code == 500
    assert "secret" not in caplog.text + failed.body.decode()


def test_files_are_read_and_places_told(api: ReaderAPI, tmp_path: Path) -> None:
    pdf = write_pdf(tmp_path / "a.pdf", [["Ana mora em Lisboa."], ["Rui mora no Porto."]])
    data = base64.b64encode(pdf.read_bytes()).decode()
    request = PredictRequest(question=QUESTION, documents=[{"name": "../a.pdf", "data": data}])
    (answer,) = api.predict([request])[0]["answers"]
    best = answer["n_best"][0]
    assert best["document"] == "a.pdf"
    assert best["pages"]
    assert best["rectangles"]
    broken = PredictRequest(question=QUESTION, documents=[{"name": "b.pdf", "data": data[:400]}])
    (refused,) = api.predict([broken])
    assert refused.status_code == 422
    assert "b.pdf" in refused.body.decode()
    assert "/tmp" not in refused.body.decode()


def test_refusals_have_the_clients_name_and_advice_that_a_client_can_follow(
    api: ReaderAPI, tmp_path: Path
) -> None:
    from reportlab.lib.pdfencrypt import StandardEncryption

    lock = StandardEncryption("abre", canPrint=0)
    locked = write_pdf(tmp_path / "x.pdf", [["Segredo."]], encrypt=lock).read_bytes()
    files = {
        "a.pdf": (locked, "a.pdf; it is encrypted. Send it without a password."),
        "b.doc": (b"\xd0\xcf\x11\xe0", "b.doc; it is encrypted, or of Word 97"),
        "c.html": (b"<html>", "c.html; there is none"),
        "d.txt": (b"\x81\x8d\x00\xff\x00", "text in d.txt"),
        "e.zip": (b"PK\x05\x06" + bytes(18), "e.zip"),
    }
    for name, (data, told) in files.items():
        sent = {"name": f"../{name}", "data": base64.b64encode(data).decode()}
        (refused,) = api.predict([PredictRequest(question=QUESTION, documents=[sent])])
        message = json.loads(refused.body)["error"]["message"]
        assert told in message
        assert "/tmp" not in message
        assert "environment" not in message
    every = [
        {"name": name, "data": base64.b64encode(data).decode()} for name, (data, _) in files.items()
    ]
    (refused,) = api.predict([PredictRequest(question=QUESTION, documents=every)])
    assert all(name in json.loads(refused.body)["error"]["message"] for name in files)


def test_what_had_no_effect_is_told_to_who_asked(
    api: ReaderAPI, caplog: pytest.LogCaptureFixture
) -> None:
    cut = PredictRequest(question="segredo " * 200, context=CONTEXT, threshold=1.0)
    plain = PredictRequest(question=QUESTION, context=CONTEXT)
    noted, silent = api.predict([cut, plain])
    assert any("is cut" in note for note in noted["notes"])
    assert not silent["notes"]
    knows = api.answerer.reader.decision.no_answer
    assert any("threshold" in note for note in noted["notes"]) is not knows


def test_answers_that_nobody_waits_for_are_not_looked_for(api: ReaderAPI) -> None:
    long = PredictRequest(question=[QUESTION] * 3, context=CONTEXT * 700)
    long.until = time.monotonic() - 1
    late, answered = api.predict([long, PredictRequest(question=QUESTION, context=CONTEXT)])
    assert late.status_code == 504
    assert answered["answers"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "question"),
        ({"question": " ", "context": "x"}, "empty"),
        ({"question": [], "context": "x"}, "expected a question"),
        ({"question": "q"}, "one of `context` and `documents`"),
        ({"question": "q", "context": "x", "documents": [{"text": "y"}]}, "one of"),
        ({"question": "q", "documents": [{"name": "a"}]}, "one of `text` and `data`"),
        ({"question": "q", "context": "x", "n_best": 21}, "less than or equal to 20"),
        ({"question": "q", "context": "x", "nbest": 2}, "nbest"),
        ({"question": "q" * 10_001, "context": "x"}, "10,000"),
        ({"question": ["q"] * 4, "context": "x"}, "at most 3 questions"),
        ({"question": "q", "documents": [{"text": "x"}] * 3}, "at most 2 documents"),
        ({"question": "q", "context": "x" * 101}, "at most 100 characters"),
        ({"question": "q", "context": "x", "threshold": float("inf")}, "finite"),
        ({"question": "q", "context": "x", "screen": 0}, "screen"),
        ({"question": "q", "context": "x", "screen": True}, "screen"),
        ({"question": "q", "context": "x", "n_best": "2"}, "n_best"),
    ],
)
def test_requests_are_checked_before_they_wait(body: dict[str, Any], told: str) -> None:
    request = bounded(Limits(questions=3, documents=2, document_chars=100))
    with pytest.raises(ValueError, match=told):
        request.model_validate(body)


# A server that runs.


class Server:
    """A service in processes of its own."""

    def __init__(self, checkpoint: Path, folder: Path, *options: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "qa_lightning", "serve", "--checkpoint", str(checkpoint),
                 "--port", str(self.port), "--device", "cpu", *options],
                stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, KEY_VARIABLE: KEY},
            )  # fmt: skip
        self.client = httpx.Client(
            base_url=self.address, headers={"x-api-key": KEY}, timeout=60, trust_env=False
        )

    def wait(self, path: str = "/ready", seconds: float = 120.0) -> None:
        until = time.monotonic() + seconds
        while True:
            try:
                if self.client.get(path).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.2)

    def ask(self, **body: Any) -> httpx.Response:
        return self.client.post("/predict", json=body)

    def readers(self) -> list[int]:
        listed = subprocess.run(
            ["ps", "-ww", "-o", "pid=", "-o", "args=", "--ppid", str(self.process.pid)],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        return [int(line.split()[0]) for line in listed.splitlines() if "spawn_main" in line]

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def server(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    server = Server(
        checkpoint,
        folder,
        "--limits.body_mib",
        "1",
        "--limits.sending_seconds",
        "1",
        "--limits.seconds",
        "20",
    )
    try:
        server.wait()
        yield server
    finally:
        server.kill()


def test_a_service_answers_as_the_reader_does(server: Server, checkpoint: Path) -> None:
    expected = QuestionAnswerer.from_checkpoint(checkpoint, device="cpu").answer(QUESTION, CONTEXT)
    answered = server.ask(question=QUESTION, context=CONTEXT)
    assert answered.status_code == 200
    (entry,) = answered.json()["answers"]
    assert (entry["answer"], entry["start_char"]) == (expected.text, expected.start_char)
    assert entry["n_best"][0]["place"] == "line 1"
    assert "/docs" in server.log.read_text()
    assert "in_flight" in server.client.get("/metrics").text
    assert httpx.get(f"{server.address}/predict", trust_env=False).status_code == 401
    assert server.client.get("/predict").json()["error"]["status"] == 405


def test_a_service_tells_how_to_ask_without_a_key_or_another_machine(server: Server) -> None:
    with httpx.Client(base_url=server.address, trust_env=False) as stranger:
        schema = stranger.get("/openapi.json").json()
        page = stranger.get("/docs")
    assert {"/predict", "/metrics", "/health", "/ready"} <= schema["paths"].keys()
    assert schema["components"]["securitySchemes"].keys() == {"ApiKey", "Bearer"}
    assert schema["security"] == [{"ApiKey": []}, {"Bearer": []}]
    assert schema["paths"]["/health"]["get"]["security"] == []
    assert set(schema["paths"]["/predict"]["post"]["responses"]) >= {"200", "401", "413", "504"}
    assert page.status_code == 200
    for name in ("POST /predict", "n_best", "X-API-Key", "score is higher"):
        assert name in page.text
    assert "<script" not in page.text
    assert not re.search(r"(src|href)=.?https?:", page.text)


def test_connections_that_send_nothing_or_slowly_hold_no_place(server: Server) -> None:
    """A head in pieces for ever, on new connections and on one that was answered before."""
    heads = [b"", b"P", b"POST /predict HTTP/1.1\r\nHost: x\r\nX-A: "]
    answered = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    with contextlib.ExitStack() as stack:
        strangers = []
        for number in range(60):
            place = ("127.0.0.1", server.port)
            stranger = stack.enter_context(socket.create_connection(place, timeout=10))
            if number % 4 == 0:
                stranger.sendall(answered)
                assert b" 200 " in stranger.recv(1000)
            stranger.sendall(heads[number % 3])
            strangers.append(stranger)
        assert server.ask(question=QUESTION, context=CONTEXT).status_code == 200
        until = time.monotonic() + 30
        for number, stranger in enumerate(strangers):
            answer = b""
            while time.monotonic() < until:
                with contextlib.suppress(OSError):
                    stranger.sendall(b"x" * (number % 3 > 0))  # it goes on, byte by byte
                try:
                    piece = stranger.recv(1000)
                except ConnectionResetError:
                    break
                if not piece:
                    break
                answer += piece
            assert time.monotonic() < until
            assert b" 408 " in answer or number % 4 == 0, answer
    assert server.ask(question=QUESTION, context=CONTEXT).status_code == 200


@pytest.mark.slow
def test_a_file_that_holds_its_reader_for_ever_costs_no_more_than_its_own_answer(
    server: Server,
) -> None:
    """Forms of a PDF that draw each other, ten times each: PDFium would draw them for years."""
    data = base64.b64encode(endless_pdf()).decode()
    body = {"question": QUESTION, "documents": [{"name": "x.pdf", "data": data}]}
    (reader,) = server.readers()
    assert server.ask(**body).status_code == 504
    until = time.monotonic() + 60
    while not (found := server.readers()) or found == [reader]:
        assert time.monotonic() < until
        time.sleep(0.2)
    server.wait()
    assert server.ask(question=QUESTION, context=CONTEXT).status_code == 200


def test_two_hundred_hostile_requests_stop_nobody(server: Server) -> None:
    draw = random.Random(4)
    good = json.dumps({"question": QUESTION, "context": CONTEXT}).encode()
    nested = b'{"question": ' + b"[" * 50_000 + b"]" * 50_000 + b', "context": "x"}'
    values = [None, 0, -1, 1e400, "", " ", [], {}, [[]], True, "x" * 20_000, "\x00", "\ud800"]
    bodies = [nested, b"", b"\xff\xfe", b"[1", b"null", b'"x"', good[:-5], b"{}" * 100]
    for _ in range(142):
        body = {"question": draw.choice([QUESTION, *values]), "context": draw.choice(values)}
        body[draw.choice(["n_best", "threshold", "screen", "documents", "x"])] = draw.choice(values)
        bodies.append(json.dumps(body).encode())
    halved = [b'{"question": "\\ud800", "context": "x\\udfff"}']
    bodies += halved
    assert server.client.post("/predict", content=halved[0]).status_code == 422
    statuses = {server.client.post("/predict", content=body).status_code for body in bodies}
    assert statuses <= {200, 400, 422}
    for number in range(50):
        with socket.create_connection(("127.0.0.1", server.port)) as stranger:
            stranger.sendall(_hostile(number, good))
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nX-API-Key: " + KEY.encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as giant:
        giant.sendall(head + b"\r\nContent-Length: 5000000000\r\n\r\n" + b"x" * 1000)
        assert b" 413 " in giant.recv(1000)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as slow:
        slow.sendall(head + b"\r\nContent-Length: 100\r\n\r\n{")
        assert b" 408 " in slow.recv(1000)
    assert server.ask(question=QUESTION, context=CONTEXT).status_code == 200
    assert "Traceback" not in server.log.read_text()
    assert "mora" not in server.log.read_text()


def _hostile(number: int, good: bytes) -> bytes:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\n" % KEY.encode()
    return [
        head,  # cut in its head
        head + b"Content-Length: %d\r\n\r\n" % len(good) + good[:10],  # cut in its body
        head + b"Content-Length: %d\r\n\r\n" % len(good) + good,  # gone before the answer
        head + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",  # no number
        os.urandom(100),
    ][number % 5]


def test_a_reader_that_dies_is_started_anew(server: Server) -> None:
    (reader,) = server.readers()
    body = {"question": [QUESTION] * 8, "context": CONTEXT * 300, "screen": "all"}
    asking = threading.Thread(target=lambda: server.ask(**body))
    asking.start()
    while "in_flight 1.0" not in server.client.get("/metrics").text:
        time.sleep(0.02)
    os.kill(reader, signal.SIGKILL)  # with a request in its hands
    until = time.monotonic() + 120
    while not (found := server.readers()) or found == [reader]:
        assert time.monotonic() < until
        time.sleep(0.2)
    server.wait()
    assert server.ask(question=QUESTION, context=CONTEXT).status_code == 200
    asking.join(60)
    assert "in_flight 0.0" in server.client.get("/metrics").text


def test_a_stop_finishes_what_was_taken(server: Server) -> None:
    long = CONTEXT * 300
    answers: list[httpx.Response] = []
    body = {"question": [QUESTION] * 8, "context": long, "screen": "all"}
    asking = threading.Thread(target=lambda: answers.append(server.ask(**body)))
    asking.start()
    while "in_flight 1.0" not in server.client.get("/metrics").text:
        time.sleep(0.02)
    for _ in range(3):
        os.killpg(server.process.pid, signal.SIGTERM)  # all of them, as systemd does
        time.sleep(0.05)
    asking.join(60)
    assert [answer.status_code for answer in answers] == [200]
    assert server.process.wait(40) == 0
    assert "Traceback" not in server.log.read_text()


def test_what_cannot_be_served_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="`host`"):
        serve("x", host="example.org")
    with pytest.raises(InputError, match="port"):
        serve("x", port=80)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="free address"):
            serve("x", port=taken.getsockname()[1])
    server = Server(tmp_path / "nowhere.ckpt", tmp_path)
    try:
        assert server.process.wait(120) == 2
    finally:
        server.kill()
    told = server.log.read_text()
    assert "nowhere.ckpt" in told
    assert "Traceback" not in told
