"""The page as a whole: made, and served."""

import atexit
import os
import shutil
import socket
import tempfile
import time
from typing import TYPE_CHECKING, Final

from qa_lightning.errors import InputError

if TYPE_CHECKING:
    import gradio as gr

    from qa_lightning.answerer import QuestionAnswerer
    from qa_lightning.app.corrections import Corrections

_AT_ONCE: Final = 4  # questions and files in work at a time
_LARGEST: Final = "200mb"  # of an uploaded file
_FONTS: Final = ("system-ui", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif")
_MONO: Final = ("ui-monospace", "Consolas", "monospace")


def build_page(
    answerer: "QuestionAnswerer", corrections: "Corrections", *, name: str
) -> "gr.Blocks":
    """Return the page.

    Args:
        answerer: what answers.
        corrections: where corrected answers are kept.
        name: of the model, for the visitor.

    Raises:
        InputError: Gradio is not installed.
    """
    # Gradio reads these when it is imported; uploads go where nobody else reads.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    if "GRADIO_TEMP_DIR" not in os.environ:
        os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="qa-lightning-page-")
        atexit.register(shutil.rmtree, os.environ["GRADIO_TEMP_DIR"], ignore_errors=True)
    try:
        import gradio as gr
    except ModuleNotFoundError as error:
        raise InputError(
            f"Expected Gradio for the page; {error.name} is not installed. "
            "pip install 'qa-lightning[app]'"
        ) from error
    from qa_lightning.app.events import Events
    from qa_lightning.app.layout import KEPT_SECONDS, Parts

    with gr.Blocks(
        title="qa_lightning",
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(KEPT_SECONDS, KEPT_SECONDS),
    ) as page:
        Events(Parts(name), answerer, corrections).connect(page)
    page.queue(default_concurrency_limit=_AT_ONCE)
    return page


def serve(page: "gr.Blocks", *, host: str, port: int | None) -> str:
    """Serve the page in threads of its own; return its address.

    Args:
        page: made by ``build_page``.
        host: the address to listen on.
        port: None takes the first free one from 7860.

    Raises:
        InputError: the address is in use, or not this machine's.
    """
    import gradio as gr

    from qa_lightning.app.layout import resource

    try:
        _check_free(host, port)
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            theme=gr.themes.Base(primary_hue="amber", font=list(_FONTS), font_mono=list(_MONO)),
            css=resource("reader.css"),
            head=f"<script>{resource('turns.js')}</script>",
            max_file_size=_LARGEST,
            footer_links=[],
            share=False,
            quiet=True,
            ssr_mode=False,
            enable_monitoring=False,
            prevent_thread_lock=True,
        )
    except OSError as error:
        raise InputError(
            f"Expected an address that is free for the page; {host}, port "
            f"{port or '7860 and on'}, is not: {error}. Name another by `--port` or `--host`."
        ) from error
    return str(address)


def _check_free(host: str, port: int | None) -> None:
    """Bind the address for a moment: Gradio would look for minutes where it is another machine's.

    Raises:
        OSError: it cannot be bound.
    """
    family, kind, _, _, address = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind(address)


def wait(page: "gr.Blocks") -> None:
    """Wait until Ctrl-C ends the page."""
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        page.close(verbose=False)
