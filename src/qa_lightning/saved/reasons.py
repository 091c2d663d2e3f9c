"""What a library's error means for a user, without the library's advice to run a file's code."""

import re

_OBJECT = re.compile(r"GLOBAL ([\w.]+)|Unsupported class ([\w.]+)")


def reason(error: BaseException) -> str:
    """Return the first line of an error, or ours where it would advise to trust the file.

    >>> reason(ValueError("pass `trust_remote_code=True` to allow custom code to be run"))
    'it needs Python code of its own, which is never run. Take one that transformers knows itself.'
    """
    text = str(error)
    if "trust_remote_code" in text:
        return (
            "it needs Python code of its own, which is never run. Take one that transformers "
            "knows itself."
        )
    if "weights_only" in text or "Weights only" in text:
        return _of_pickle(text)
    lines = (line.strip() for line in text.splitlines())
    return next(filter(None, lines), type(error).__name__)


def _of_pickle(text: str) -> str:
    found = _OBJECT.search(text)
    if found is None:
        return "it is damaged, or was written by another program."
    return (
        f"it holds Python objects ({found[1] or found[2]}) that could run code when they are read, "
        "and is refused. Only plain values and tensors are read: let whom you have it from save it "
        "as safetensors."
    )
