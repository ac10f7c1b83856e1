"""Optimistic concurrency over HTTP: versions as ETags, If-Match as a condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from flask import request

from shared.problems import ServiceError


class VersionRequired(ServiceError):
    """The header If-Match is needed."""


class VersionConflict(ServiceError):
    """It was changed by somebody else meanwhile."""


class Versioned(Protocol):
    """A resource with a version that rises with every change."""

    @property
    def version(self) -> int:
        """The present version."""
        ...


@dataclass(frozen=True, slots=True)
class Expected:
    """The versions that a caller takes for the present one; None: any."""

    tags: frozenset[str] | None = None

    def check(self, resource: Versioned) -> None:
        """Raises VersionConflict when the resource has another version."""
        if self.tags is not None and str(resource.version) not in self.tags:
            raise VersionConflict(
                f'The present version is "{resource.version}". Read it again, then send its ETag in If-Match.'
            )


ANY_VERSION = Expected()


def expected_version(*, required: bool = False) -> Expected:
    """The condition of this request's If-Match; `*` and, unless `required`, an absent header mean any version."""
    if "If-Match" not in request.headers:
        if required:
            raise VersionRequired("Send the ETag of the version that you read in the header If-Match.")
        return ANY_VERSION
    tags = request.if_match
    return ANY_VERSION if tags.star_tag else Expected(frozenset(tags.as_set()))


def etag_of(resource: Versioned) -> Mapping[str, str]:
    """The header that names a resource's version."""
    return {"ETag": f'"{resource.version}"'}


def tagged(resource: Any) -> tuple[Any, Mapping[str, str]]:
    """A view's answer: the resource with its ETag."""
    return resource, etag_of(resource)
