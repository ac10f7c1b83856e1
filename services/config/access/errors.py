"""What access refuses, beside what every service refuses."""

from __future__ import annotations

from shared.http import Conflict, NotAllowed, NotAuthenticated, NotFound


class WrongPassword(NotAuthenticated):
    """The e-mail address or the password is not right."""


class ForgedRequest(NotAllowed):
    """This form did not come from here."""


class LinkSpent(NotFound):
    """This link does not work any more."""


class EmailTaken(Conflict):
    """There is a user of this e-mail address already."""


class LastAdministrator(Conflict):
    """There must be an administrator who can sign in."""
