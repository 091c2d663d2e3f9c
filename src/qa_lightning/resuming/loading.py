"""A loader that goes on in the middle of an epoch."""

import signal
from typing import Any

from torchdata.stateful_dataloader import StatefulDataLoader


class ResumableLoader(StatefulDataLoader[Any]):  # type: ignore[misc]  # torchdata is untyped
    """A `StatefulDataLoader` whose state holds the epoch too, as its sampler's order needs.

    Lightning makes the iterator before it tells the sampler the epoch: resumed in epoch 1,
    torchdata's own would go on at the right place of epoch 0's order. All ranks have one state.
    """

    def state_dict(self) -> dict[str, Any]:
        """Return the place: the epoch, the batches of it that were served, and torchdata's own."""
        served = 0 if self._iterator is None else self._iterator._num_yielded
        return {
            "epoch": getattr(self.sampler, "epoch", 0),
            "batches": served,
            "num_workers": self.num_workers,
            "position": super().state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on at a place, in the next iteration.

        Without torchdata's own state, or from one for another number of workers, which it does
        not take, the batches before it are collated once more and dropped.
        """
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(state_dict["epoch"])
        position = state_dict.get("position")
        if position is not None and state_dict["num_workers"] == self.num_workers:
            super().load_state_dict(position)
            return
        super().load_state_dict({})
        iterator = self._get_iterator()
        for _ in range(state_dict["batches"]):
            next(iterator)
        self._iterator, self._initial_iter_for_state_dict = iterator, True


def at_place(states: list[dict[str, Any]], *, epoch: int, batches: int) -> list[dict[str, Any]]:
    """Return the states of loaders as they were earlier; other loaders' as they are."""
    earlier = {"epoch": epoch, "batches": batches, "num_workers": -1, "position": None}
    return [
        earlier
        if "position" in state and (state["epoch"], state["batches"]) != (epoch, batches)
        else state
        for state in states
    ]


def leave_signals_to_parent(worker: int) -> None:
    """Let a worker live until its loader ends it: the step that a signal ends may need a batch."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
