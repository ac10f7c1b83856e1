"""REST documents of config: what is taken and what is given, as marshmallow schemas."""

from __future__ import annotations

from typing import Any, get_args

import marshmallow as ma

from contracts.configurations import IDENTIFY, KeyType
from contracts.moments import STATUSES
from contracts.signals import CATALOGUE, PROFILE_FIELDS
from contracts.templates import templates
from services.config.fields import Distinct, Domain, Instant, Text
from services.config.resources import Listing
from services.config.segment_schemas import segment_events

_MOST_DOMAINS = 500
_MOST_ATTRIBUTES = 500
_LONGEST_ATTRIBUTE = 255
AUDITED = ("moment", "configuration", "user", "token", "webhook", "suppression", "customer", "replay")
"""What the audit log tells of."""
_MOST_PAGES = 1_000_000
_LONGEST_OVERLAP = 30 * 86_400
_TELLS = f"`{IDENTIFY}`: it may tell who anonymous customers are"


class KnownTemplate(ma.validate.Validator):
    """One of the templates of this process; asked for when needed, as an operator's own are not known at import."""

    @property
    def choices(self) -> list[str]:
        """Their types, which the API document lists."""
        return list(templates())

    def __call__(self, value: str) -> str:
        """The value, when it is one of them."""
        if value not in self.choices:
            raise ma.ValidationError(f"Must be one of: {', '.join(self.choices)}.")
        return value


def _instant(about: str, **options: Any) -> Instant:
    return Instant(dump_only=True, metadata={"description": about, "format": "date-time"}, **options)


def _name(**options: Any) -> Text:
    return Text(200, metadata={"description": "What people call it.", "examples": ["Web shop"]}, **options)


def _description(**options: Any) -> Text:
    return Text(2_000, shortest=0, lines=True, metadata={"description": "What it is for."}, **options)


class AudienceSchema(ma.Schema):
    """The list of profiles in the marketing platform."""

    id = Text(200, required=True, metadata={"description": "Its id in the marketing platform."})
    name = Text(200, required=True)
    id_types = Distinct(
        ma.fields.String(validate=ma.validate.OneOf(list(PROFILE_FIELDS))),
        data_key="idTypes",
        load_default=("email",),
        validate=ma.validate.Length(1),
        metadata={"description": "How its profiles are addressed."},
    )


def _domains(**options: Any) -> Distinct:
    about = "Hosts that may send web signals; `*.` before one means its sub-domains of any depth."
    return Distinct(
        Domain(), validate=ma.validate.Length(max=_MOST_DOMAINS), metadata={"description": about}, **options
    )


def _consent_required(**options: Any) -> ma.fields.Boolean:
    about = "Whether only signals that say `consent: true` are taken; others are refused and not kept."
    return ma.fields.Boolean(
        truthy={True}, falsy={False}, data_key="consentRequired", metadata={"description": about}, **options
    )


def _attributes(**options: Any) -> Distinct:
    about = "The fields beyond the declared ones that are kept, those of items as `items.<name>`; null: all."
    return Distinct(
        Text(_LONGEST_ATTRIBUTE),
        validate=ma.validate.Length(max=_MOST_ATTRIBUTES),
        allow_none=True,
        metadata={"description": about, "examples": [["campaign", "items.size"]]},
        **options,
    )


class KeySchema(ma.Schema):
    """A key, by which a touchpoint sends signals."""

    id = ma.fields.String(dump_only=True, metadata={"examples": ["pk_1b2…"]})
    type = ma.fields.String(dump_only=True, validate=ma.validate.OneOf(get_args(KeyType)))
    enabled = ma.fields.Boolean(dump_only=True, metadata={"description": "Whether it is listened to."})
    secret = ma.fields.String(
        dump_only=True, metadata={"description": "Of a server key, and only in the answer that made it."}
    )
    created_at = _instant("When it was made.", data_key="createdAt")
    expires_at = _instant("End of its overlap with the key that follows it.", data_key="expiresAt", allow_none=True)
    last_used_at = _instant(
        "When it last admitted a request, some seconds up to a minute late; no change of the version.",
        data_key="lastUsedAt",
        allow_none=True,
    )
    never_used = ma.fields.Boolean(
        dump_only=True,
        data_key="neverUsed",
        allow_none=True,
        metadata={"description": "Whether it was never used; null for a key older than the noting of uses."},
    )

    kinds = ma.fields.List(
        ma.fields.String(),
        dump_only=True,
        allow_none=True,
        metadata={"description": f"The kinds of signals that it may send, and {_TELLS}; null: all of its touchpoint."},
    )
    signed = ma.fields.Boolean(
        dump_only=True, metadata={"description": "Whether only signed requests are taken with it; server keys only."}
    )
    signing_secret = ma.fields.String(
        dump_only=True,
        data_key="signingSecret",
        metadata={"description": "What signs; only in the answer that set `signed` or made the key anew."},
    )

    @ma.post_dump
    def _without_absent_secrets(self, document: dict[str, Any], **_options: Any) -> dict[str, Any]:
        secret = ("secret", "signingSecret")
        return {name: value for name, value in document.items() if name not in secret or value is not None}


class NewConfigurationSchema(ma.Schema):
    """What an audience configuration is made of."""

    name = _name(required=True)
    description = _description(load_default="")
    audience = ma.fields.Nested(AudienceSchema, required=True)
    domains = _domains(load_default=())
    consent_required = _consent_required(load_default=False)
    attributes = _attributes(load_default=None)
    segment_events = segment_events(load_default=())


class ConfigurationChangeSchema(ma.Schema):
    """What changes of an audience configuration; a field that is not there stays as it is."""

    name = _name()
    description = _description()
    audience = ma.fields.Nested(AudienceSchema)
    domains = _domains()
    consent_required = _consent_required()
    attributes = _attributes()
    segment_events = segment_events()


class ConfigurationSchema(ma.Schema):
    """An audience configuration."""

    id = ma.fields.UUID(dump_only=True)
    name = _name()
    description = _description()
    audience = ma.fields.Nested(AudienceSchema)
    domains = ma.fields.List(ma.fields.String())
    consent_required = _consent_required()
    attributes = _attributes()
    segment_events = segment_events()
    keys = ma.fields.List(ma.fields.Nested(KeySchema))
    version = ma.fields.Integer(metadata={"description": "Rises with every change; also the ETag."})
    created_at = _instant("When it was made.", data_key="createdAt")
    updated_at = _instant("When it was changed last.", data_key="updatedAt")
    updated_by = ma.fields.String(
        data_key="updatedBy",
        dump_only=True,
        metadata={"description": "Who changed it last, as in the audit log.", "examples": ["user:ada@example.com"]},
    )


class KeyChangeSchema(ma.Schema):
    """What changes of a key; a field that is not there stays as it is."""

    enabled = ma.fields.Boolean(truthy={True}, falsy={False}, metadata={"description": "Whether it is listened to."})
    kinds = Distinct(
        ma.fields.String(validate=ma.validate.OneOf([*CATALOGUE, IDENTIFY])),
        validate=ma.validate.Length(1),
        allow_none=True,
        metadata={
            "description": f"The only kinds of signals that it may send, and {_TELLS}; null: all of its touchpoint."
        },
    )

    signed = ma.fields.Boolean(
        truthy={True}, falsy={False}, metadata={"description": "Whether a server key takes only signed requests."}
    )

    @ma.validates_schema
    def _changes_something(self, changes: dict[str, Any], **_options: Any) -> None:
        if not changes:
            raise ma.ValidationError("Name what is to change.")


class KeyRegenerationSchema(ma.Schema):
    """Making a key anew."""

    overlap_seconds = ma.fields.Integer(
        strict=True,
        data_key="overlapSeconds",
        load_default=0,
        validate=ma.validate.Range(0, _LONGEST_OVERLAP),
        metadata={"description": "How long the old key stays valid."},
    )


class NewMomentSchema(ma.Schema):
    """What a moment is made of."""

    type = ma.fields.String(
        required=True,
        validate=KnownTemplate(),
        metadata={"description": "The template; fixed from now on."},
    )
    name = _name(required=True)
    description = _description(load_default="")
    audience_configuration_id = ma.fields.UUID(required=True, data_key="audienceConfigurationId")
    settings = ma.fields.Dict(
        keys=ma.fields.String(),
        load_default=dict,
        metadata={"description": "By name, as the template declares them; the others have their defaults."},
    )


class MomentChangeSchema(ma.Schema):
    """What changes of a moment; a field or a setting that is not there stays as it is, null clears a setting."""

    name = _name()
    description = _description()
    audience_configuration_id = ma.fields.UUID(data_key="audienceConfigurationId")
    settings = ma.fields.Dict(keys=ma.fields.String())


class MomentSchema(ma.Schema):
    """A moment."""

    id = ma.fields.UUID(dump_only=True)
    type = ma.fields.String()
    name = _name()
    description = _description()
    audience_configuration_id = ma.fields.UUID(
        attribute="configuration_id", data_key="audienceConfigurationId", allow_none=True
    )
    settings = ma.fields.Dict(keys=ma.fields.String())
    status = ma.fields.String(validate=ma.validate.OneOf(STATUSES))
    has_run = ma.fields.Boolean(data_key="hasRun", metadata={"description": "Whether it was ever started."})
    running_since = _instant("Its latest start.", data_key="runningSince", allow_none=True)
    stopped_at = _instant("When it was stopped since.", data_key="stoppedAt", allow_none=True)
    version = ma.fields.Integer(metadata={"description": "Rises with every change; also the ETag."})
    created_at = _instant("When it was made.", data_key="createdAt")
    updated_at = _instant("When it was changed last.", data_key="updatedAt")
    updated_by = ma.fields.String(
        data_key="updatedBy",
        dump_only=True,
        metadata={"description": "Who changed it last, as in the audit log.", "examples": ["user:ada@example.com"]},
    )


class StatusChangeSchema(ma.Schema):
    """The status wanted."""

    status = ma.fields.String(required=True, validate=ma.validate.OneOf(STATUSES))


class AuditEntrySchema(ma.Schema):
    """Who changed what and when."""

    id = ma.fields.Integer()
    at = _instant("When.")
    actor = ma.fields.String(
        metadata={
            "description": "`user:<e-mail>`, `token:<name>`, `admin token`, or `moments` for what nobody asked for.",
            "examples": ["user:ada@example.com"],
        }
    )
    action = ma.fields.String(metadata={"examples": ["change"]})
    kind = ma.fields.String(metadata={"examples": ["moment"]})
    resource_id = ma.fields.String(data_key="resourceId")
    before = ma.fields.Dict(keys=ma.fields.String(), allow_none=True)
    after = ma.fields.Dict(keys=ma.fields.String(), allow_none=True)


class PageQuerySchema(ma.Schema):
    """Which page of a list."""

    page = ma.fields.Integer(
        load_default=1, validate=ma.validate.Range(1, _MOST_PAGES), metadata={"description": "Number of the page."}
    )
    page_size = ma.fields.Integer(
        data_key="pageSize",
        load_default=20,
        validate=ma.validate.Range(1, 200),
        metadata={"description": "Entries of a page."},
    )

    @ma.post_load
    def _listing(self, found: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """The paging fields as one `listing`, the others as `filters`."""
        sort = found.pop("sort", None)
        listing = Listing(
            page=found.pop("page"),
            page_size=found.pop("page_size"),
            search=found.pop("search", ""),
            sort=_COLUMNS[sort] if sort else "-updated_at",
        )
        return {"listing": listing, "filters": {name: str(value) for name, value in found.items()}}


_SORTS = {"name": "name", "createdAt": "created_at", "updatedAt": "updated_at", "type": "type", "status": "status"}
_COLUMNS = {f"{sign}{sort}": f"{sign}{column}" for sort, column in _SORTS.items() for sign in ("", "-")}


def _sort(*names: str) -> ma.fields.String:
    choices = [f"{sign}{name}" for name in names for sign in ("", "-")]
    about = "A field to sort by, with `-` the greatest first."
    return ma.fields.String(
        load_default="-updatedAt", validate=ma.validate.OneOf(choices), metadata={"description": about}
    )


def _search() -> Text:
    about = "Words that an entry must contain, without regard to case."
    return Text(200, shortest=0, load_default="", metadata={"description": about})


class ConfigurationQuerySchema(PageQuerySchema):
    """Which audience configurations."""

    search = _search()
    sort = _sort("name", "createdAt", "updatedAt")


class MomentQuerySchema(PageQuerySchema):
    """Which moments."""

    search = _search()
    sort = _sort("name", "createdAt", "updatedAt", "type", "status")
    status = ma.fields.String(
        validate=ma.validate.OneOf(STATUSES), metadata={"description": "Only moments of this status."}
    )
    type = ma.fields.String(validate=KnownTemplate(), metadata={"description": "Only moments of this template."})
    configuration_id = ma.fields.UUID(
        data_key="audienceConfigurationId", metadata={"description": "Only moments of this audience configuration."}
    )


class AuditQuerySchema(PageQuerySchema):
    """Which audit entries."""

    kind = ma.fields.String(validate=ma.validate.OneOf(AUDITED), metadata={"description": "Only changes of these."})
    actor = ma.fields.String(
        validate=ma.validate.Length(1, 300),
        metadata={"description": "Only changes by this actor.", "examples": ["user:ada@example.com"]},
    )
    resource_id = ma.fields.UUID(data_key="resourceId", metadata={"description": "Only changes of the one of this id."})


class _PageSchema(ma.Schema):
    page = ma.fields.Integer()
    page_size = ma.fields.Integer(data_key="pageSize")
    total = ma.fields.Integer(metadata={"description": "How many there are on all pages."})


class ConfigurationPageSchema(_PageSchema):
    """A page of audience configurations."""

    items = ma.fields.List(ma.fields.Nested(ConfigurationSchema))


class MomentPageSchema(_PageSchema):
    """A page of moments."""

    items = ma.fields.List(ma.fields.Nested(MomentSchema))


class AuditPageSchema(_PageSchema):
    """A page of the audit log."""

    items = ma.fields.List(ma.fields.Nested(AuditEntrySchema))
