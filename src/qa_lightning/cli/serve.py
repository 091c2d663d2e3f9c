"""``qa-lightning serve``: a trained reader as a service."""

from dataclasses import fields

import jsonargparse

from qa_lightning.cli.reader import add_reader
from qa_lightning.errors import InputError


def build_parser() -> jsonargparse.ArgumentParser:
    """Return the command's parser."""
    parser = jsonargparse.ArgumentParser(
        description="Serve a reader: POST /predict with questions and documents, /health, /ready,"
        " /metrics for Prometheus, /docs for people. Clients must send the key that the"
        " environment's QA_LIGHTNING_API_KEY holds, if it holds one."
    )
    add_reader(parser)
    parser.add_argument(
        "--host", default="127.0.0.1", help="127.0.0.1: this machine alone; 0.0.0.0, ::: all"
    )
    parser.add_argument("--port", type=int, default=8000, help="1024 to 65535")
    parser.add_argument("--limits.body_mib", type=float, default=32.0, help="of a request; 413")
    parser.add_argument(
        "--limits.document_chars", type=int, default=5_000_000, help="in a request; 422"
    )
    parser.add_argument("--limits.documents", type=int, default=64, help="in a request; 422")
    parser.add_argument("--limits.questions", type=int, default=64, help="in a request; 422")
    parser.add_argument("--limits.queue", type=int, default=128, help="requests that wait; 503")
    parser.add_argument("--limits.seconds", type=float, default=60.0, help="for a request; 504")
    parser.add_argument(
        "--limits.sending_seconds", type=float, default=15.0, help="to send a request; 408"
    )
    parser.add_argument(
        "--limits.batch", type=int, default=32, help="waiting requests answered together"
    )
    parser.add_argument(
        "--limits.batch_seconds", type=float, default=0.005, help="to wait for more of them"
    )
    return parser


def run(cfg: jsonargparse.Namespace) -> None:
    """Serve until it is stopped.

    Raises:
        InputError: the extra is missing, the reader cannot be loaded, or the address is taken.
    """
    try:
        from qa_lightning.service import Limits, serve
    except ModuleNotFoundError as error:
        raise InputError(
            f"Expected LitServe and Prometheus' client to serve; {error.name} is not installed. "
            "pip install 'qa-lightning[serve]'"
        ) from error
    limits = Limits(**{field.name: getattr(cfg.limits, field.name) for field in fields(Limits)})
    serve(
        cfg.checkpoint,
        host=cfg.host,
        port=cfg.port,
        device=cfg.device,
        revision=cfg.revision,
        precision=cfg.precision,
        limits=limits,
    )
