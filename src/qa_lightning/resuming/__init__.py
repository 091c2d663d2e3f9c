"""What a run needs to stop when it is told to, and to go on as if it never had."""

from qa_lightning.resuming.signals import Interrupted, SignalWatch

__all__ = ["Interrupted", "SignalWatch"]
