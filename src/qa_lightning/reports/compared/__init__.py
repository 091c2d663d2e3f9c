"""What comparing runs found, for the terminal and as a page."""

from qa_lightning.reports.compared.page import comparison_page
from qa_lightning.reports.compared.tables import comparison_parts

__all__ = ["comparison_page", "comparison_parts"]
