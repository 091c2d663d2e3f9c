"""What an audit leaves to be read: terminal tables, a page, lines and repaired data."""

from qa_lightning.reports.audit.facts import DatasetFacts, dataset_facts
from qa_lightning.reports.audit.files import (
    REPAIRED_KINDS,
    audit_lines,
    write_lines,
    write_repaired,
)
from qa_lightning.reports.audit.page import audit_page
from qa_lightning.reports.audit.tables import audit_table, example_panels
from qa_lightning.reports.writing import write_whole

__all__ = [
    "REPAIRED_KINDS",
    "DatasetFacts",
    "audit_lines",
    "audit_page",
    "audit_table",
    "dataset_facts",
    "example_panels",
    "write_lines",
    "write_repaired",
    "write_whole",
]
