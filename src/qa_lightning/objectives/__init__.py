"""Training objectives: logits and gold spans to a loss.

Axes: ``b`` windows in the batch, ``l`` tokens, ``g`` gold spans, ``k`` groups of windows that
share one normalisation. Padding takes no part in any softmax.

- ``first_answer``: cross-entropy against a window's first answer, as ``run_squad.py``.
- ``any_answer``: minus the log of the summed probability of all gold places of a window.
- ``document``: the same over all windows of a question together, so that windows compete in
  training as they do at prediction.

``windows`` and ``marginal`` hold the formulas, ``averaging`` the mean over a batch of all
processes, ``choice`` the options and what a batch must hold for them.
"""

from qa_lightning.objectives.averaging import mean_over_processes
from qa_lightning.objectives.choice import OBJECTIVES, Objective, objective_problems
from qa_lightning.objectives.marginal import any_answer_loss, document_loss
from qa_lightning.objectives.windows import IGNORE_POSITION, first_answer_loss, mask_padding

__all__ = [
    "IGNORE_POSITION",
    "OBJECTIVES",
    "Objective",
    "any_answer_loss",
    "document_loss",
    "first_answer_loss",
    "mask_padding",
    "mean_over_processes",
    "objective_problems",
]
