"""Memory that ran out → what to say, in place of a traceback."""

_TEXTS = ("out of memory", "not enough memory", "can't allocate memory", "alloc_failed")
"""What torch, CUDA's libraries and the C library say, in lower case."""


def is_shortage(error: BaseException) -> bool:
    """Say whether an error means that memory ran out, on a GPU or off it.

    >>> is_shortage(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"))
    True
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(each in text for each in _TEXTS)


def shortage(error: BaseException) -> str:
    """Return what to tell of such an error.

    >>> shortage(MemoryError()).startswith("Expected memory enough")
    True
    """
    reason = " ".join(str(error).split()).partition(". ")[0].rstrip(".") or "it ran out"
    return (
        f"Expected memory enough for this run; {reason[:300]}. Lower `data.batch_size` (with "
        "`trainer.accumulate_grad_batches` a step is of as many windows) or, in validation and "
        "prediction, `data.eval_batch_size`; set `model.gradient_checkpointing` true or "
        "`trainer.precision` bf16-mixed; train adapters by `model.lora`; or lower "
        "`data.max_length`. `fit --ckpt_path last` goes on from the last checkpoint."
    )
