"""Ending a publisher's futures."""

from __future__ import annotations

from concurrent.futures import Future, InvalidStateError

from shared.broker.errors import BrokerError


def settle(future: Future[None], error: BrokerError | None) -> None:
    try:
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
    except InvalidStateError:
        pass  # the caller cancelled it
