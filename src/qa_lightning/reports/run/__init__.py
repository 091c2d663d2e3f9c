"""A run's files → one page."""

from typing import Final

from qa_lightning.reports.run.page import run_page

REPORT: Final = "reports/report.html"
"""Where a run's page is, from its folder."""

__all__ = ["REPORT", "run_page"]
