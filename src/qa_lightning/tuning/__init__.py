"""A search space and a configuration → trials, each a run's folder, and the best configuration."""

from qa_lightning.tuning.report import study_page
from qa_lightning.tuning.space import read_space
from qa_lightning.tuning.study import (
    Search,
    best_beside_second,
    importances,
    search,
    states,
    write_best,
)
from qa_lightning.tuning.trials import folder_of

__all__ = [
    "Search",
    "best_beside_second",
    "folder_of",
    "importances",
    "read_space",
    "search",
    "states",
    "study_page",
    "write_best",
]
