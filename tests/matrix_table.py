"""Write the table of families into the page of backbones: ``python tests/matrix_table.py``."""

from pathlib import Path

from matrix_support import FAMILIES, Family

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "reference" / "backbones.md"
BEGIN, END = "<!-- families -->\n", "<!-- end -->\n"
HEADS = (
    "`model_type`",
    "context",
    "positions",
    "attention",
    "tokenizer",
    "padding",
    "`gradient_checkpointing`",
    "default `lora`",
    "ONNX",
)


def table() -> str:
    """Return the table, from what the matrix goes through."""
    rows = [HEADS, ("---",) * len(HEADS)]
    rows += sorted({_row(family) for family in FAMILIES.values()})
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(family: Family) -> tuple[str, ...]:
    return (
        f"`{family.model_type}`",
        f"{family.context:,}",
        family.positions,
        family.attention,
        family.tokenizer,
        "both sides" if family.left else "right",
        "yes" if family.checkpointing else "refused",
        "yes" if family.lora else "refused",
        "yes" if family.onnx else "refused",
    )


def written() -> str:
    """Return the document with the table in its place."""
    before, _, rest = DOCUMENT.read_text("utf-8").partition(BEGIN)
    return before + BEGIN + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    DOCUMENT.write_text(written(), "utf-8")
