"""The one exception that means: the user's input is wrong, not the program."""

import os


class InputError(ValueError):
    """Tell a user's mistake in one message: what was expected, what was found, what to do.

    The command line prints the message alone on stderr and ends with status 2; every other
    exception is a bug of ours and keeps its traceback. In a notebook the message stands alone too.
    """

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows; what is raised here makes it show the traceback."""
        if os.environ.get("QA_LIGHTNING_DEBUG"):
            raise NotImplementedError
        return [f"{InputError.__name__}: {self}"]


class SplitError(InputError):
    """Tell that a split does not exist or selects nothing; its key is put in front later."""


def placed(error: BaseException) -> str:
    """Say what an error is and where it arose, for a log; its message may hold users' texts."""
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    line = "" if where is None else f" at {where.tb_frame.f_code.co_filename}:{where.tb_lineno}"
    return f"{type(error).__name__}{line}"
