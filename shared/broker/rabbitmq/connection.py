"""A connection of pika of which we read ourselves what comes by the thousand."""

from __future__ import annotations

from typing import Any, Protocol

from pika.adapters.select_connection import SelectConnection
from pika.frame import decode_frame

_READ_AT_ONCE = 65_536


class Reader(Protocol):
    """Takes the bytes as they come, and hands the frames that are none of its own on to pika."""

    def feed(self, data: bytes) -> None:
        """What has arrived."""
        ...


class ReadConnection(SelectConnection):  # type: ignore[misc]
    """Has what comes read by a `Reader`, once it has one."""

    reader: Reader | None = None
    _frame_buffer: bytes

    def _proto_connection_made(self, transport: Any) -> None:
        """pika reads 4 kB at a time; before and after each it lets other threads go on, and waits for its turn."""
        transport._MAX_RECV_BYTES = _READ_AT_ONCE
        super()._proto_connection_made(transport)

    def _on_data_available(self, data_in: bytes) -> None:
        if self.reader is None:
            super()._on_data_available(data_in)
            return
        self.bytes_received += len(data_in)
        if self._frame_buffer:
            data_in, self._frame_buffer = self._frame_buffer + data_in, b""
        self.reader.feed(data_in)

    def process(self, frame: bytes) -> None:
        """Have pika handle one whole frame."""
        self._process_frame(decode_frame(frame)[1])
