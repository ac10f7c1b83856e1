"""REST documents of what the product knows: templates with their settings, and kinds of signals."""

from __future__ import annotations

import marshmallow as ma


class SettingSchema(ma.Schema):
    """A setting of a template."""

    name = ma.fields.String()
    type = ma.fields.String()
    label = ma.fields.String()
    help = ma.fields.String()
    applies = ma.fields.String(metadata={"description": "When it is judged."})
    required = ma.fields.Boolean()
    default = ma.fields.Raw(allow_none=True)
    minimum = ma.fields.Raw(allow_none=True)
    maximum = ma.fields.Raw(allow_none=True)
    choices = ma.fields.List(ma.fields.String())


class TemplateSchema(ma.Schema):
    """A kind of moment that the product offers."""

    type = ma.fields.String()
    title = ma.fields.String()
    icon = ma.fields.String()
    purpose = ma.fields.String()
    goal = ma.fields.String()
    description = ma.fields.String()
    sentence = ma.fields.String()
    rule = ma.fields.String()
    process = ma.fields.String()
    opens = ma.fields.List(ma.fields.String())
    slides = ma.fields.List(ma.fields.String())
    ends = ma.fields.List(ma.fields.String())
    completes = ma.fields.List(ma.fields.String())
    settings = ma.fields.List(ma.fields.Nested(SettingSchema))


class SignalKindSchema(ma.Schema):
    """A kind of signal."""

    name = ma.fields.String(metadata={"examples": ["cart/add"]})
    title = ma.fields.String()
    summary = ma.fields.String()
    process = ma.fields.String(allow_none=True)
    id_field = ma.fields.String(data_key="idField", allow_none=True)
    id_required = ma.fields.Boolean(data_key="idRequired")
    touchpoints = ma.fields.List(ma.fields.String())
    fields_ = ma.fields.List(ma.fields.String(), attribute="fields", data_key="fields")
    required = ma.fields.List(ma.fields.String())
    items = ma.fields.Boolean()
    routing_key = ma.fields.String(data_key="routingKey")


class TemplateListSchema(ma.Schema):
    """All templates."""

    items = ma.fields.List(ma.fields.Nested(TemplateSchema))


class SignalListSchema(ma.Schema):
    """All kinds of signals."""

    items = ma.fields.List(ma.fields.Nested(SignalKindSchema))
