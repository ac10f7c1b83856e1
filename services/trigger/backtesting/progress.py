"""How far a back-test has come."""

from __future__ import annotations


class Progress:
    """Signals of the log, those read, and those that went through the engine or were passed over."""

    def __init__(self) -> None:
        self.total = 0
        self.taken = 0
        self.replayed = 0

    def report(self) -> None:
        """Called every few milliseconds of work; a subclass tells of it, and may raise to end the run."""
