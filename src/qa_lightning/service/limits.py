"""How much a service takes on."""

from dataclasses import dataclass, fields

from qa_lightning.ranges import Rule, check, number, whole

RULES: dict[str, Rule] = {
    "body_mib": number(above=0),
    "document_chars": whole(1),
    "documents": whole(1),
    "questions": whole(1),
    "queue": whole(1),
    "seconds": number(above=0),
    "sending_seconds": number(above=0),
    "batch": whole(1),
    "batch_seconds": number(0),
}


@dataclass(frozen=True)
class Limits:
    """Bound what a request may ask, and how many may wait.

    Attributes:
        body_mib: of a request's body, in MiB; more is refused with 413.
        document_chars: of a request's documents together; more is 422.
        documents: in a request; more is 422.
        questions: in a request; more is 422.
        queue: requests that are being answered or wait; one more is 503.
        seconds: for a request, waiting included; then it is 504.
        sending_seconds: for a client to send its request's head, and as long for the rest; then it
            is 408.
        batch: waiting requests whose questions are answered together.
        batch_seconds: to wait for more of them.
    """

    body_mib: float = 32.0
    document_chars: int = 5_000_000
    documents: int = 64
    questions: int = 64
    queue: int = 128
    seconds: float = 60.0
    sending_seconds: float = 15.0
    batch: int = 32
    batch_seconds: float = 0.005

    def __post_init__(self) -> None:
        """Refuse values that bound nothing.

        Raises:
            InputError: a value is out of its range.
        """
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        check(RULES, values, prefix="limits.")

    @property
    def body_bytes(self) -> int:
        """Return the largest body, in bytes."""
        return int(self.body_mib * 2**20)
