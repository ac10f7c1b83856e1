"""gunicorn's worker of threads, with an end to its patience: who sends or reads too slowly holds no thread for good.

Nor does its log name who sends what is no HTTP, or what stood in it.
"""

from __future__ import annotations

import errno
import logging
import socket
import struct
import time
from typing import Any

from gunicorn.http.errors import NoMoreData
from gunicorn.workers.gthread import ThreadWorker

PATIENCE = 20.0
"""Seconds within which a whole request must have come."""
_SILENT_FOR = 5
_READS_WITHIN = 30


class PatientSocket(socket.socket):
    """A connection whose requests come within a time, and whose other side goes on reading."""

    _until = float("inf")

    @classmethod
    def of(cls, connection: socket.socket) -> PatientSocket:
        """The same connection; `connection` itself is used no more."""
        found = cls(fileno=connection.detach())
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _SILENT_FOR, 0))
        found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _READS_WITHIN, 0))
        return found

    def begin(self, patience: float) -> None:
        """A request is going to be read."""
        self._until = time.monotonic() + patience

    def recv(self, size: int, flags: int = 0) -> bytes:
        """What has come, or NoMoreData when it did not in time; what has a time-out or flags of its own is as ever."""
        if flags or self.gettimeout() is not None:
            return super().recv(size, flags)
        if time.monotonic() >= self._until:
            raise NoMoreData()
        try:
            return super().recv(size)
        except BlockingIOError as error:
            raise NoMoreData() from error

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send it; who does not read is taken for gone."""
        try:
            super().sendall(data, flags)
        except BlockingIOError as error:
            raise BrokenPipeError(errno.EPIPE, "the other side does not read") from error


_TELLING = ("Invalid request from ip=", "Error handling request ")


def _untold(record: logging.LogRecord) -> bool:
    """gunicorn's lines on what is no HTTP, or failed, without who sent it and what it said: a key may stand there."""
    if isinstance(record.msg, str) and record.msg.startswith(_TELLING):
        record.msg, record.args = record.msg.partition(" request ")[0] + " request", ()
    return True


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """The worker of every service."""

    patience = PATIENCE

    def init_process(self) -> None:
        """Begin, with a log that names nobody."""
        self.log.error_log.addFilter(_untold)
        super().init_process()

    def enqueue_req(self, conn: Any) -> None:
        """Let a thread read the next request of a connection."""
        if not isinstance(conn.sock, PatientSocket):
            conn.sock = PatientSocket.of(conn.sock)
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        """Read a request and answer it."""
        conn.sock.begin(self.patience)
        return super().handle(conn)
