"""A network and a batch of windows → the memory that a training step takes, before it is taken."""

from qa_lightning.footprint.estimating import Footprint, step_footprint
from qa_lightning.footprint.forecast import MemoryForecast, TrainingStep, check_room

__all__ = ["Footprint", "MemoryForecast", "TrainingStep", "check_room", "step_footprint"]
