"""What a refused form shows again: what was typed, and what is wrong with which field."""

from __future__ import annotations

from collections.abc import Mapping

from flask import request

from shared.http import STATUSES, status_of
from shared.problems import ServiceError


def faults_of(error: ServiceError) -> dict[str, str]:
    """Field of the form → reason."""
    return {fault.pointer.removeprefix("/"): fault.reason for fault in error.faults}


def refusal_of(error: ServiceError) -> str:
    """What is wrong as a whole; empty when the fields say it."""
    return "" if error.faults else error.detail


def http_status(error: ServiceError) -> int:
    """The status of a refused form."""
    return status_of(type(error), STATUSES)


def typed(**first: str) -> Mapping[str, str]:
    """Field → what was typed; before anything was, `first`."""
    return {name: request.form.get(name, value) for name, value in first.items()}
