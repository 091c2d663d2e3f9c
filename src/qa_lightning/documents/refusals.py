"""Why a file is not read as a document: every reason by its name, in words.

A page says them in its visitor's language, a service with other advice; both go by the name.
"""

from typing import Final

from qa_lightning.errors import InputError

PASSWORD: Final = "QA_LIGHTNING_PDF_PASSWORD"  # never an argument, which every process list shows
_PARTS: Final = "Cut it into parts; if it is not yours, it may be made to fill the memory."
# What was expected and found, and what to do.
REASONS: Final[dict[str, tuple[str, str]]] = {
    "absent": ("Expected a document at {name}; found nothing there.", ""),
    "no_file": ("Expected a document at {name}; it is no regular file.", ""),
    "unreadable": ("Expected a document at {name}; it could not be read: {why}.", ""),
    "too_large": (
        "Expected a document of at most {most:,} MB; {name} has {found:,}.",
        "Cut it into parts.",
    ),
    "too_much": ("Expected at most {most:,} {what} in {name}; it has more.", _PARTS),
    "too_deep": ("Expected HTML in {name}; it nests deeper than any page.", _PARTS),
    "no_text": ("Expected text in {name}; there is none.", ""),
    "picture": (
        "Expected text in {name}; it is a picture ({kind}).",
        "Recognise its text first (OCR, for instance by `ocrmypdf`, which makes a PDF of it).",
    ),
    "scan": (
        "Expected text in {name}; none of its {pages:,} pages has any: they are pictures, such as "
        "scans.",
        "Recognise their text first (OCR, for instance by `ocrmypdf`).",
    ),
    "locked": (
        "Expected a PDF that can be opened in {name}; it is encrypted.",
        f"Give its password by the environment's {PASSWORD}, or save it without one.",
    ),
    "wrong_password": (
        "Expected a PDF that can be opened in {name}; it is encrypted, and the password is "
        "another.",
        f"Give its password by the environment's {PASSWORD}, or save it without one.",
    ),
    "damaged_pdf": (
        "Expected a PDF in {name}; it is damaged, or none ({why}).",
        "Try to open and save it in another program.",
    ),
    "damaged_word": (
        "Expected a Word document in {name}; it is damaged ({why}).",
        "Open and save it in Word or LibreOffice.",
    ),
    "old_word": (
        "Expected a DOCX file without a password in {name}; it is encrypted, or of Word 97 to "
        "2003 (.doc).",
        "Save it as DOCX without a password.",
    ),
    "no_word": ("Expected a DOCX file in {name}; it is none, or cut off.", ""),
    "other_kind": (
        "Expected text, Markdown, HTML, DOCX or PDF in {name}; it is {kind}.",
        "Save it as DOCX or PDF, for instance in LibreOffice.",
    ),
    "archive": (
        "Expected a document in {name}; it is an archive of other files ({kind}).",
        "Unpack it, and name the documents in it.",
    ),
    "encoding": ("{why}", ""),
    "package": (
        "Expected the package that reads {kind} files ({package}) for {name}; it is not installed.",
        "pip install 'qa-lightning[documents]'",
    ),
}


class DocumentError(InputError):
    """Tell that a file cannot be read as a document, and why.

    Attributes:
        reason: its name among ``REASONS``.
        details: what stands in its words; ``name`` is the file's.
    """

    def __init__(self, reason: str, **details: object) -> None:
        self.reason, self.details = reason, details
        super().__init__(self.told())

    def told(self, *, name: object = None, advice: str | None = None) -> str:
        """Return the words, with another name for the file, or with other advice.

        >>> DocumentError("no_text", name="/tmp/x.txt").told(name="x.txt")
        'Expected text in x.txt; there is none.'
        """
        found, usual = REASONS[self.reason]
        details = self.details if name is None else {**self.details, "name": name}
        return f"{found.format(**details)} {usual if advice is None else advice}".rstrip()


class LockedError(DocumentError):
    """Tell that a file opens with a password alone, or that the one given was not it."""
