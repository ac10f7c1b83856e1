"""Which queues get a message: topic, direct and fanout exchanges as RabbitMQ routes them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from contracts.topology import Binding, Exchange, topic_matches

_CACHE = 20_000


class UnknownExchange(LookupError):
    """No exchange of this name is declared."""


class Routes:
    """The routing of one state of exchanges, queues and bindings; answers are remembered."""

    def __init__(self, exchanges: Iterable[Exchange], queues: Iterable[str], bindings: Iterable[Binding]) -> None:
        self._exchanges = {exchange.name: exchange for exchange in exchanges}
        self._queues = frozenset(queues)
        self._bindings: dict[str, list[Binding]] = {}
        for binding in bindings:
            self._bindings.setdefault(binding.source, []).append(binding)
        self._known: dict[tuple[str, str, tuple[str, ...]], tuple[str, ...]] = {}

    def route(self, exchange: str, routing_key: str, hidden_copies: tuple[str, ...]) -> tuple[str, ...]:
        """The queues for a message, each once, in the order found; raises `UnknownExchange`."""
        known = self._known.get((exchange, routing_key, hidden_copies))
        if known is not None:
            return known
        found = tuple(self._walk(exchange, (routing_key, *hidden_copies)))
        if len(self._known) >= _CACHE:
            self._known.clear()
        self._known[exchange, routing_key, hidden_copies] = found
        return found

    def _walk(self, start: str, keys: Sequence[str]) -> dict[str, None]:
        """Every key is tried at every exchange on the way, as RabbitMQ does with the keys of a BCC header."""
        if start == "":
            return {key: None for key in keys if key in self._queues}
        if start not in self._exchanges:
            raise UnknownExchange(start)
        queues: dict[str, None] = {}
        seen: set[str] = {start}
        ahead = [start]
        while ahead:
            exchange = self._exchanges.get(ahead.pop(0))
            if exchange is None:
                continue
            matching = [b for b in self._bindings.get(exchange.name, ()) if _takes(exchange, b, keys)]
            queues |= {b.destination: None for b in matching if not b.to_exchange}
            onward = [b.destination for b in matching if b.to_exchange]
            if not matching and exchange.alternate is not None:
                onward = [exchange.alternate]
            ahead += [name for name in dict.fromkeys(onward) if name not in seen]
            seen.update(onward)
        return queues


def _takes(exchange: Exchange, binding: Binding, keys: Sequence[str]) -> bool:
    if exchange.kind == "fanout":
        return True
    if exchange.kind == "direct":
        return binding.key in keys
    return any(topic_matches(binding.key, key) for key in keys)
