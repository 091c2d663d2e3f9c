"""What a run needs to stop when it is told to, and to go on as if it never had.

``signals`` (what ends a run), ``hearing`` (also while it waits in no Python), ``loading`` (a place
in the data), ``random_states`` (dropout's next draw), ``places`` (a place in the training: which
batch of which epoch, validated or not), ``settings`` (what may not change meanwhile), ``trust``
(what a stranger may have written of all this), ``callback`` (brings them together), ``advice``
(what to say of it).
"""

from qa_lightning.resuming.advice import how_to_go_on, way_back
from qa_lightning.resuming.callback import ExactResume
from qa_lightning.resuming.loading import ResumableLoader, leave_signals_to_parent
from qa_lightning.resuming.random_states import seeded_generator
from qa_lightning.resuming.settings import ORDER, resume_problems
from qa_lightning.resuming.signals import Interrupted, SignalWatch
from qa_lightning.resuming.trust import check_optimizers, check_place, check_training

__all__ = [
    "ORDER",
    "ExactResume",
    "Interrupted",
    "ResumableLoader",
    "SignalWatch",
    "check_optimizers",
    "check_place",
    "check_training",
    "how_to_go_on",
    "leave_signals_to_parent",
    "resume_problems",
    "seeded_generator",
    "way_back",
]
