"""AMQP 0-9-1 publish frames as bytes. Pure.

pika encodes a publish in some 25 µs and makes three system calls for it. Here all that repeats from message to
message is remembered, which leaves about 2 µs, and a whole batch becomes one write.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from pika import spec
from pika.frame import Header, Method

from shared.broker.port import Message

_CACHE = 20_000
_END = b"\xce"
_FRAME = struct.Struct(">BHL")
_CONTENT = struct.Struct(">BHLHHQ")
_BASIC = 60
_OVERHEAD = 8


def properties(message: Message) -> spec.BasicProperties:
    """The properties of a message: persistent, hidden copies in the BCC header."""
    headers: dict[str, Any] | None = dict(message.headers) if message.headers else None
    if message.hidden_copies:
        headers = {**(headers or {}), "BCC": list(message.hidden_copies)}
    return spec.BasicProperties(
        content_type=message.content_type, delivery_mode=2, message_id=message.message_id, headers=headers
    )


class PublishEncoder:
    """Encodes publishes for one channel whose frames hold at most `frame_max` bytes."""

    def __init__(self, channel: int, frame_max: int) -> None:
        self._channel = channel
        self._room = frame_max - _OVERHEAD
        self._methods: dict[tuple[str, str, bool], bytes] = {}
        self._known: dict[tuple[str, tuple[str, ...]], bytes] = {}

    def encode(self, message: Message) -> bytes:
        """The frames of one publish, joined: method, header, body. Raises ValueError on a name over 255 bytes."""
        method = self._methods.get((message.exchange, message.routing_key, message.optional))
        if method is None:
            method = self._method(message)
        body = message.body
        if len(body) > self._room or not body:
            return method + self._header(message) + self._split(body)
        return b"".join((method, self._header(message), _FRAME.pack(3, self._channel, len(body)), body, _END))

    def _method(self, message: Message) -> bytes:
        publish = spec.Basic.Publish(
            exchange=message.exchange, routing_key=message.routing_key, mandatory=not message.optional
        )
        encoded: bytes = Method(self._channel, publish).marshal()
        if len(self._methods) >= _CACHE:
            self._methods.clear()
        self._methods[message.exchange, message.routing_key, message.optional] = encoded
        return encoded

    def _header(self, message: Message) -> bytes:
        """Of the properties only the message id, which comes last, differs between messages of a kind."""
        if message.headers:
            whole: bytes = Header(self._channel, len(message.body), properties(message)).marshal()
            return whole
        known = self._known.get((message.content_type, message.hidden_copies))
        if known is None:
            bare = Message(
                exchange="",
                routing_key="",
                body=b"",
                message_id=" ",
                content_type=message.content_type,
                hidden_copies=message.hidden_copies,
            )
            known = b"".join(properties(bare).encode())[:-2]
            if len(self._known) >= _CACHE:
                self._known.clear()
            self._known[message.content_type, message.hidden_copies] = known
        identity = message.message_id.encode()
        if len(identity) > 255:
            raise ValueError("a message id has at most 255 bytes")
        size = 13 + len(known) + len(identity)
        return b"".join(
            (
                _CONTENT.pack(2, self._channel, size, _BASIC, 0, len(message.body)),
                known,
                bytes((len(identity),)),
                identity,
                _END,
            )
        )

    def _split(self, body: bytes) -> bytes:
        parts = [body[at : at + self._room] for at in range(0, len(body), self._room)]
        return b"".join(_FRAME.pack(3, self._channel, len(part)) + part + _END for part in parts)


def texts(headers: Mapping[str, Any]) -> dict[str, str]:
    """The headers that are text: those of the publisher, and `x-first-death-reason` and its like."""
    return {name: value for name, value in headers.items() if isinstance(value, str)}
