"""What can go wrong between a service and its broker."""

from __future__ import annotations


class BrokerError(Exception):
    """Something failed at the broker."""

    def __init__(self, reason: str = "") -> None:
        text = (type(self).__doc__ or "").splitlines()[0]
        super().__init__(f"{text} {reason}".strip())
        self.reason = reason


class BrokerUnavailable(BrokerError):
    """The broker cannot be reached, or does not take messages now; whether it has this one is unknown."""


class Unroutable(BrokerError):
    """No queue is bound for this message."""


class Overloaded(BrokerError):
    """Too many messages wait already, here or in a full queue."""


class ConsumerLost(BrokerError):
    """The consumer holds nothing any more; what it had not acknowledged is delivered again."""


class DeclarationRefused(BrokerError):
    """An exchange or queue of this name stands already with other properties."""


class UnknownQueue(BrokerError):
    """There is no queue of this name."""
