"""The service whole: reader, server, gate, and a stop that finishes what was taken."""

import logging
import os
import signal
import socket
import tempfile
import threading
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from litserve import LitServer
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

import qa_lightning
from qa_lightning.errors import InputError, placed
from qa_lightning.ranges import Rule, check, whole
from qa_lightning.service.gate import Gate, problem
from qa_lightning.service.limits import Limits
from qa_lightning.service.reading import ReaderAPI
from qa_lightning.service.schemas import PredictRequest, bounded
from qa_lightning.service.slowness import protocol
from qa_lightning.service.telling import tell

log = logging.getLogger(__name__)

KEY_VARIABLE = "QA_LIGHTNING_API_KEY"
HOSTS = ("127.0.0.1", "0.0.0.0", "::")  # for those who ask for it
RULES: dict[str, Rule] = {"port": whole(1024, 65535)}


class _Server(LitServer):  # type: ignore[misc]
    """Stop in order, also where every process of the group is signalled: the reader comes last."""

    def _init_manager(self, num_api_servers: int) -> Any:
        waiting = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the queues' process inherits it
        try:
            return super()._init_manager(num_api_servers)
        finally:
            signal.signal(signal.SIGTERM, waiting)

    def _start_server(self, port: int, *args: Any, **kwargs: Any) -> Any:
        log.warning("serving on port %s; /docs tells how to ask", port)  # the reader is loaded
        return super()._start_server(port, *args, **kwargs)

    def _perform_graceful_shutdown(self, *args: Any, **kwargs: Any) -> None:
        # By a thread: the connection of this one may still wait for the event.
        stop = threading.Thread(target=self._shutdown_event.set, daemon=True)
        stop.start()
        stop.join(5)  # nothing that is ended is started anew from here on
        for reader in self.inference_workers:
            reader.terminate = reader.kill  # it ignores SIGTERM; nothing waits for it by then
        super()._perform_graceful_shutdown(*args, **kwargs)


def make_server(
    checkpoint: str,
    limits: Limits,
    *,
    trouble: Path,
    device: str = "cpu",
    revision: str | None = None,
    precision: str = "float32",
    key: str | None = None,
) -> LitServer:
    """Return a server that is not running yet.

    Args:
        checkpoint: as ``QuestionAnswerer.from_checkpoint`` takes it.
        limits: of the service.
        trouble: a file for the message if the reader cannot be loaded.
        device: cpu, cuda or mps.
        revision: of a model on the Hub.
        precision: of the network's products.
        key: what clients must know; None lets in everyone.
    """
    api = ReaderAPI(checkpoint, limits, revision=revision, precision=precision, trouble=trouble)
    request_type = bounded(limits)

    def decode_request(request: request_type) -> PredictRequest:  # type: ignore[valid-type]
        return request

    api.decode_request = decode_request  # type: ignore[method-assign]  # LitServe checks and documents what this is annotated with
    server = _Server(
        api,
        accelerator=device,
        devices=1,
        timeout=limits.seconds,
        healthcheck_path="/ready",
        model_metadata={"qa_lightning": qa_lightning.__version__},
        restart_workers=True,
    )
    del api.decode_request  # it goes to the reader's process, which needs none
    _dress(server.app)
    tell(server.app, wants_key=key is not None)
    server.app.add_middleware(Gate, limits=limits, key=key)
    return server


def _dress(app: FastAPI) -> None:
    """Give an app health, and errors in one shape."""

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Tell that the server lives; ``/ready`` tells whether it answers."""
        return {"status": "ok"}

    @app.exception_handler(RequestValidationError)
    async def refuse(_: Request, error: RequestValidationError) -> Response:
        return problem(422, "; ".join(_told(each) for each in error.errors()[:5]))

    @app.exception_handler(HTTPException)
    async def pass_on(_: Request, error: HTTPException) -> Response:
        return problem(error.status_code, str(error.detail), **dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def fail(_: Request, error: Exception) -> JSONResponse:
        log.error("a request failed: %s", placed(error))
        return problem(500, "The service failed on this request.")


def _told(error: Any) -> str:
    """Return a fault without what was sent."""
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "json_invalid":
        return f"Expected a body of JSON; at character {error['loc'][-1]} it is none"
    where = ".".join(str(part) for part in error["loc"] if part != "body") or "the request"
    return f"{where}: {message}"


def serve(
    checkpoint: str,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    device: str | None = None,
    revision: str | None = None,
    precision: str = "float32",
    limits: Limits | None = None,
) -> None:
    """Answer until SIGTERM or Ctrl-C; then finish what was taken.

    The environment's ``QA_LIGHTNING_API_KEY``, if there is one, is what clients must send.

    Args:
        checkpoint: as ``QuestionAnswerer.from_checkpoint`` takes it.
        host: 127.0.0.1 serves this machine alone, 0.0.0.0 or :: every network.
        port: 1024 to 65535.
        device: None is CUDA, else the CPU.
        revision: of a model on the Hub.
        precision: of the network's products, as ``QuestionAnswerer.from_checkpoint`` takes it.
        limits: of the service.

    Raises:
        InputError: the reader cannot be loaded, or the address is taken.
    """
    check(RULES, {"port": port}, prefix="")
    if host not in HOSTS:
        raise InputError(f"Expected `host` to be one of {', '.join(HOSTS)}; got {host!r}.")
    _check_free(host, port)
    key = os.environ.get(KEY_VARIABLE) or None
    if key is None and host != HOSTS[0]:
        log.warning("whoever reaches %s:%s may ask: set %s to a key", host, port, KEY_VARIABLE)
    _stop_on_signals()
    _log_requests()
    with tempfile.TemporaryDirectory() as folder:
        trouble = Path(folder) / "trouble"
        server = make_server(
            checkpoint,
            limits or Limits(),
            trouble=trouble,
            device=device or _best_device(),
            revision=revision,
            precision=precision,
            key=key,
        )
        try:
            server.run(
                host=host,
                port=port,
                num_api_servers=1,
                log_level="warning",
                pretty_logs=False,
                generate_client_file=False,
                access_log=False,
                server_header=False,
                http=protocol((limits or Limits()).sending_seconds),
            )
        except RuntimeError as error:
            if not trouble.exists():
                raise
            raise InputError(trouble.read_text(encoding="utf-8")) from error


def _stop_on_signals() -> None:
    """Let SIGTERM and Ctrl-C end this process in order; what it forks ends in its own way."""
    ours = os.getpid()

    def stop(*_: object) -> None:
        if os.getpid() == ours:
            for again in (signal.SIGTERM, signal.SIGINT):
                signal.signal(again, signal.SIG_IGN)  # it stops already
            raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def _check_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(
                f"Expected a free address; {host}:{port} is not ({error.strerror}). Take another "
                "`--port`."
            ) from error


def _best_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _log_requests() -> None:
    """Write a line of JSON a request on stderr."""
    requests = logging.getLogger("qa_lightning.service.requests")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    requests.addHandler(handler)
    requests.setLevel(logging.INFO)
    requests.propagate = False
