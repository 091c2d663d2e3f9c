"""Whole numbers stay whole: 1 batch is not 1.0, which is all of them."""

from functools import reduce
from operator import or_
from typing import Any, get_args


def whole_numbers_first(function: Any) -> None:
    """Let a parser try ``int`` before ``float`` for each argument that may be either, in place.

    ``typing`` hands out the first of `Union[int, float]` and `Union[float, int]` that any library
    made in a process in place of the other one: ``--trainer.limit_val_batches 1`` would be read by
    whoever was imported first.

    Args:
        function: whose annotations are changed.
    """
    annotations: dict[str, Any] = function.__annotations__
    for name, kind in annotations.items():
        kinds = get_args(kind)
        if {int, float} <= {*kinds}:
            annotations[name] = reduce(or_, sorted(kinds, key=lambda each: each is not int))
