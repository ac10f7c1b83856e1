"""What config refuses, beside what every service refuses. All are conflicts with the present state (409)."""

from __future__ import annotations

from shared.http import Conflict


class StatusRefused(Conflict):
    """The moment cannot change to this status."""


class CannotRun(Conflict):
    """The moment cannot run as it is."""


class LinkFixed(Conflict):
    """The moment has run; its audience configuration cannot change."""


class ArchivedFixed(Conflict):
    """An archived moment cannot be changed."""


class NotDeletable(Conflict):
    """Only a draft or archived moment can be deleted."""


class MomentsRefer(Conflict):
    """Moments refer to the audience configuration."""


class SitesInUse(Conflict):
    """A running moment is limited to a domain that would go."""
