"""What people type into the forms of access, checked by the schemas of REST."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from flask import request

from contracts.tokens import SCOPES
from services.config.access.resources import LONGEST_EMAIL, ROLES
from services.config.fields import Text
from shared.http import Unprocessable
from shared.problems import Fault, faults_of


class EmailAddress(ma.fields.String):
    """An e-mail address as people write it; whether it exists is shown by use."""

    def __init__(self, **options: Any) -> None:
        super().__init__(validate=ma.validate.Length(3, LONGEST_EMAIL), **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str:
        text: str = super()._deserialize(value, attr, data, **options).strip()
        name, at, domain = text.rpartition("@")
        if not (name and at and domain) or not text.isprintable() or any(character.isspace() for character in text):
            raise ma.ValidationError("Write it as name@example.com.")
        return text


class InvitationSchema(ma.Schema):
    """Who is invited."""

    name = Text(200, required=True)
    email = EmailAddress(required=True)
    role = ma.fields.String(required=True, validate=ma.validate.OneOf(ROLES))


class FirstAdministratorSchema(ma.Schema):
    """Who sets the installation up."""

    name = Text(200, required=True)
    email = EmailAddress(required=True)


class NameSchema(ma.Schema):
    """What a person is called."""

    name = Text(200, required=True)


class UserSchema(ma.Schema):
    """What an administrator changes of a user."""

    name = Text(200, required=True)
    role = ma.fields.String(required=True, validate=ma.validate.OneOf(ROLES))


class ProfileSchema(ma.Schema):
    """What people change of themselves. `zone`: empty for that of the browser."""

    name = Text(200, required=True)
    zone = ma.fields.String(required=True, validate=ma.validate.Length(0, 64))


class TokenFormSchema(ma.Schema):
    """A token to be made. `days`: 0 for one without end."""

    name = Text(80, required=True)
    scope = ma.fields.String(required=True, validate=ma.validate.OneOf(SCOPES))
    days = ma.fields.String(required=True, validate=ma.validate.OneOf(("30", "90", "365", "0")))


def filled_in(schema: ma.Schema) -> dict[str, Any]:
    """The fields of the present form; raises Unprocessable with a fault for each that is not right."""
    given = {name: request.form.get(name, "") for name in schema.fields}
    try:
        found: dict[str, Any] = schema.load(given)
    except ma.ValidationError as error:
        faults = [
            fault if given.get(fault.pointer[1:], " ").strip() else Fault(fault.pointer, "Fill this in.")
            for fault in faults_of({"json": error.messages_dict})
        ]
        raise Unprocessable(f"{len(faults)} fault{'s' if len(faults) > 1 else ''}.", faults=faults) from error
    return found
