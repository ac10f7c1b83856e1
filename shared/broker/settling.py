"""What becomes of messages that were handed to a publisher."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Protocol

from shared.broker.port import Message


class Settled(Protocol):
    """Is told what became of each message, once, by its place among those that were handed over together."""

    def settle(self, place: int, error: Exception | None) -> None:
        """The message is durable, or why it is not."""
        ...


Entry = tuple[Message, Settled, int]
"""A message on its way, and who is told of it under which place."""


class Confirm(Future[None]):
    """The future of one message."""

    def settle(self, place: int, error: Exception | None) -> None:  # noqa: ARG002 - there is one
        """See `Settled`."""
        with suppress(InvalidStateError):  # the caller cancelled it
            if error is None:
                self.set_result(None)
            else:
                self.set_exception(error)


class Confirms:
    """What becomes of several messages, with one lock for all of them; each future would have its own.

    Settled by one thread at a time, waited for by one.
    """

    __slots__ = ("_left", "_outcomes", "_pending")

    def __init__(self, count: int) -> None:
        self._outcomes: list[Exception | None] = [_NOT_IN_TIME] * count
        self._left = count
        self._pending = threading.Lock()
        if count:
            self._pending.acquire()

    def settle(self, place: int, error: Exception | None) -> None:
        """See `Settled`."""
        self._outcomes[place] = error
        self._left -= 1
        if not self._left:
            self._pending.release()

    def wait(self, seconds: float) -> Sequence[Exception | None]:
        """See `Together.wait`."""
        if self._pending.acquire(timeout=max(0.0, seconds)):
            self._pending.release()
        return list(self._outcomes)


class HandingOver(ABC):
    """The ways into a publisher, which all hand over messages with whom to tell of them."""

    def publish(self, message: Message) -> Future[None]:
        """See `Publisher.publish`."""
        return self.publish_all((message,))[0]

    def publish_all(self, messages: Sequence[Message]) -> list[Future[None]]:
        """See `Publisher.publish_all`."""
        confirms = [Confirm() for _ in messages]
        self._hand_over([(message, confirm, 0) for message, confirm in zip(messages, confirms, strict=True)])
        return [*confirms]

    def publish_together(self, messages: Sequence[Message]) -> Confirms:
        """See `Publisher.publish_together`."""
        confirms = Confirms(len(messages))
        self._hand_over([(message, confirms, place) for place, message in enumerate(messages)])
        return confirms

    @abstractmethod
    def _hand_over(self, entries: Sequence[Entry]) -> None:
        """Take the messages, or settle at once those that cannot be taken."""


_NOT_IN_TIME = TimeoutError("the broker did not confirm it in time")
