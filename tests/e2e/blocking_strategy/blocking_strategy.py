"""A user's strategy with a defect: told to, it never comes back, and signal's loop stands still with it."""

import threading
from pathlib import Path

from holdfast_signal.strategies.sma_crossover import SmaCrossover
from holdfast_signal.strategy import Desire, Window

MARK = Path("/tmp/block")  # the only folder that a pod may write to


class BlockingSma(SmaCrossover):
    """Trades as the crossover does, until somebody leaves the mark. It takes the mark along: the next process lives."""

    def on_bar(self, window: Window) -> Desire | None:
        """Blocks the thread that every loop of the process shares."""
        if MARK.exists():
            MARK.unlink()
            threading.Event().wait()
        return super().on_bar(window)
