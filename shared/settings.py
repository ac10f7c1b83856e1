"""What an operator can set: read once from the environment, checked, documented in one place."""

# ruff: noqa: RUF009 - `_variable` is dataclasses.field with its documentation
from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

_SECOND = 1_000_000
_HOUR = 3_600 * _SECOND
_DAY = 24 * _HOUR
_ROLES: Mapping[str, Literal["viewer", "editor", "admin"]] = {"viewer": "viewer", "editor": "editor", "admin": "admin"}
_LEVELS = ("debug", "info", "warning", "error")


class InvalidSetting(ValueError):
    """A setting cannot be used."""

    def __init__(self, variable: str, reason: str) -> None:
        super().__init__(f"{variable}: {reason}")
        self.variable = variable
        self.reason = reason


def _variable(name: str, help: str, *, default: str = "") -> Any:
    return field(metadata={"variable": name, "help": help, "default": default})


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """An identity provider. `default_role`: None where only those who are known, or have a role there, come in."""

    issuer: str
    client_id: str
    client_secret: str
    role_claim: str
    default_role: Literal["viewer", "editor", "admin"] | None
    button: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one process; spans are in microseconds."""

    data: Path = _variable(
        "MOMENTS_DATA", "Folder of SQLite files, secrets and the embedded broker.", default=".moments"
    )
    broker_url: str = _variable(
        "MOMENTS_BROKER_URL",
        "`embedded:` (a file in the data folder), `embedded:///path/broker.db` or `amqp://user:password@host:5672/`.",
        default="embedded:",
    )
    config_database_url: str = _variable(
        "MOMENTS_CONFIG_DATABASE_URL", "Database of config alone.", default="MOMENTS_DATABASE_URL"
    )
    ingestion_database_url: str = _variable(
        "MOMENTS_INGESTION_DATABASE_URL", "Database of ingestion alone.", default="MOMENTS_DATABASE_URL"
    )
    trigger_database_url: str = _variable(
        "MOMENTS_TRIGGER_DATABASE_URL", "Database of trigger alone.", default="MOMENTS_DATABASE_URL"
    )
    given_admin_token: str = _variable(
        "MOMENTS_ADMIN_TOKEN", "Bearer token of the REST APIs; else made once in `<data>/admin-token`."
    )
    given_secret_pepper: str = _variable(
        "MOMENTS_SECRET_PEPPER", "Key of the hash of server secrets; else made once in `<data>/pepper`."
    )
    host: str = _variable("MOMENTS_HOST", "Address that the services listen on.", default="127.0.0.1")
    port_base: int = _variable(
        "MOMENTS_PORT_BASE", "Port of config; ingestion and trigger take the next two.", default="8081"
    )
    given_trigger_url: str = _variable(
        "MOMENTS_TRIGGER_URL",
        "Where config reaches trigger's REST API, for previews and the app; else `MOMENTS_HOST` and trigger's port.",
    )
    given_ingestion_url: str = _variable(
        "MOMENTS_INGESTION_URL",
        "Where config reaches ingestion, for test signals; else `MOMENTS_HOST` and ingestion's port.",
    )
    given_public_signals_url: str = _variable(
        "MOMENTS_PUBLIC_SIGNALS_URL",
        "Where browsers and servers reach ingestion, as snippets show it; else `MOMENTS_INGESTION_URL`.",
    )
    ingestion_workers: int = _variable("MOMENTS_INGESTION_WORKERS", "Processes of ingestion.", default="2")
    spool: int = _variable(
        "MOMENTS_SPOOL",
        "Megabytes of signals that a machine of ingestion keeps while the broker is away; 0: it answers 503 instead.",
        default="0",
    )
    spool_patience: int = _variable(
        "MOMENTS_SPOOL_PATIENCE",
        "Seconds for which trigger waits for the word of a machine with a spool before it raises without it.",
        default="900",
    )
    partitions: int = _variable("MOMENTS_PARTITIONS", "Partitions of the signals; fixed at install.", default="16")
    expiry: int = _variable(
        "MOMENTS_EXPIRY", "Seconds after which a signal is too late to open a wait.", default="86400"
    )
    attribution: int = _variable(
        "MOMENTS_ATTRIBUTION_DAYS",
        "Days after a raise's due within which its completion counts as recovered.",
        default="7",
    )
    retention: int = _variable(
        "MOMENTS_RETENTION_DAYS", "Days for which a process is kept after its last signal.", default="30"
    )
    signals_retention: int = _variable(
        "MOMENTS_SIGNALS_DAYS",
        "Days for which a signal is kept after its receipt; as long as its process, where that is longer.",
        default="30",
    )
    profiles_retention: int = _variable(
        "MOMENTS_PROFILES_DAYS",
        "Days for which a profile of an audience is kept after it was last seen.",
        default="400",
    )
    audit_retention: int = _variable(
        "MOMENTS_AUDIT_DAYS", "Days for which config's log of changes is kept.", default="400"
    )
    housekeeping: int = _variable(
        "MOMENTS_HOUSEKEEPING_SECONDS", "Seconds between two rounds of forgetting what is old.", default="3600"
    )
    templates: Path | None = _variable("MOMENTS_TEMPLATES", "Folder of templates of one's own, a TOML file each.")
    refusals_kept: int = _variable(
        "MOMENTS_REFUSALS_DAYS", "Days for which refused signals are kept, for explanations and replays.", default="7"
    )
    refusals_size: int = _variable(
        "MOMENTS_REFUSALS_MEGABYTES",
        "What is kept of the contents of refused signals, all together; 0: nothing, and none can be replayed.",
        default="256",
    )
    receipts_kept: int = _variable(
        "MOMENTS_ERASURES_DAYS",
        "Days, from 30, for which receipts of erasures are kept, and signals dropped that were received before one.",
        default="400",
    )
    anonymous_kept: int = _variable(
        "MOMENTS_ANONYMOUS_DAYS",
        "Days for which signals of anonymous customers are held until it is known who they are.",
        default="30",
    )
    minutes_kept: int = _variable(
        "MOMENTS_MINUTES_KEPT_HOURS", "Hours, 48 to 168, for which analytics are kept by the minute.", default="48"
    )
    streams: int = _variable(
        "MOMENTS_STREAMS", "Listeners to live analytics at a time; each takes a thread of trigger.", default="16"
    )
    environment: str = _variable(
        "MOMENTS_ENVIRONMENT", "What this installation is called, shown on every page: production, staging, …"
    )
    sample_shop: str = _variable(
        "MOMENTS_SAMPLE_SHOP", "Where the demo's shop is, which the app leads to; `up --demo` sets it."
    )
    live_pages: int = _variable(
        "MOMENTS_LIVE_PAGES",
        "Pages of the app that are told of news at a time; each takes a thread of config and a listener of trigger.",
        default="16",
    )
    log_level: str = _variable("MOMENTS_LOG_LEVEL", "debug, info, warning or error.", default="info")
    trigger_name: str = _variable(
        "MOMENTS_TRIGGER_NAME", "Name of this trigger process, different for each.", default="trigger-1"
    )
    public_url: str = _variable(
        "MOMENTS_PUBLIC_URL",
        "Where people reach the app, `https://moments.example.com`, for links; else as it was asked for.",
    )
    limit_key: int = _variable(
        "MOMENTS_LIMIT_KEY", "Signals a second that are taken with one key; 0: no limit.", default="50000"
    )
    limit_address: int = _variable(
        "MOMENTS_LIMIT_ADDRESS", "The same from one address, with web and app keys.", default="20000"
    )
    limit_profile: int = _variable(
        "MOMENTS_LIMIT_PROFILE", "The same of one profile, with web and app keys.", default="1000"
    )
    limit_burst: int = _variable(
        "MOMENTS_LIMIT_BURST_SECONDS", "Seconds whose worth of signals may come at once, after a pause.", default="10"
    )
    signature_tolerance: int = _variable(
        "MOMENTS_SIGNATURE_SECONDS",
        "Seconds by which the time of a signed request may differ from ours, before or after.",
        default="300",
    )
    trusted_proxies: int = _variable(
        "MOMENTS_TRUSTED_PROXIES",
        "How many proxies in front of config and ingestion are believed in X-Forwarded-For, -Proto and -Host.",
        default="0",
    )
    session_idle: int = _variable(
        "MOMENTS_SESSION_IDLE_HOURS", "Hours after its latest use at which a session ends.", default="24"
    )
    session_longest: int = _variable(
        "MOMENTS_SESSION_DAYS", "Days after the sign-in at which a session ends in any case.", default="14"
    )
    oidc_issuer: str = _variable(
        "MOMENTS_OIDC_ISSUER", "Identity provider by which people sign in: the issuer of OpenID Connect, https."
    )
    oidc_client_id: str = _variable("MOMENTS_OIDC_CLIENT_ID", "What the provider knows Moments by.")
    oidc_client_secret: str = _variable("MOMENTS_OIDC_CLIENT_SECRET", "Moments' secret there, if it has one.")
    oidc_role_claim: str = _variable(
        "MOMENTS_OIDC_ROLE_CLAIM",
        "Claim that names viewer, editor or admin, `roles` or `realm_access.roles`; it counts at each sign-in.",
    )
    oidc_default_role: str = _variable(
        "MOMENTS_OIDC_DEFAULT_ROLE",
        "Role of a new person whom the provider gives none: viewer, editor, admin, or none for nobody.",
        default="viewer",
    )
    oidc_button: str = _variable(
        "MOMENTS_OIDC_BUTTON", "What the button to the provider says.", default="Sign in with your organisation"
    )
    webhook_allowed_networks: tuple[str, ...] = _variable(
        "MOMENTS_WEBHOOK_ALLOWED_NETWORKS",
        "Networks that are not public but may get webhooks: `10.1.0.0/16, 127.0.0.0/8`.",
    )
    webhook_plain_http: bool = _variable(
        "MOMENTS_WEBHOOK_PLAIN_HTTP", "yes or no: whether webhooks may go to `http://` URLs.", default="no"
    )
    webhook_timeout: int = _variable(
        "MOMENTS_WEBHOOK_TIMEOUT", "Seconds within which a webhook's endpoint must have answered.", default="15"
    )
    webhook_concurrency: int = _variable(
        "MOMENTS_WEBHOOK_CONCURRENCY", "Webhook requests at a time, of each trigger process.", default="32"
    )
    webhook_endpoint_concurrency: int = _variable(
        "MOMENTS_WEBHOOK_ENDPOINT_CONCURRENCY", "The same for one webhook; one that fails gets 1.", default="8"
    )
    webhook_retry_factor: float = _variable(
        "MOMENTS_WEBHOOK_RETRY_FACTOR", "Stretches the pauses between a webhook's attempts.", default="1"
    )
    webhook_disable_after: int = _variable(
        "MOMENTS_WEBHOOK_DISABLE_DAYS", "Days without a success after which a failing webhook is disabled.", default="5"
    )
    webhook_most_waiting: int = _variable(
        "MOMENTS_WEBHOOK_MOST_WAITING",
        "Deliveries that may wait for one webhook; over it the oldest are dropped and counted.",
        default="250000",
    )
    webhook_log: int = _variable(
        "MOMENTS_WEBHOOK_LOG_DAYS", "Days for which deliveries are kept after their end.", default="7"
    )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        """The settings of an environment; raises InvalidSetting. Unset and empty mean the same."""
        read = _Reader(environ)
        data = Path(read.text("data")).expanduser().absolute()
        return cls(
            data=data,
            broker_url=_broker_url(read.text("broker_url"), data),
            **{f"{service}_database_url": _database_url(environ, service, data) for service in _SERVICES},
            given_admin_token=read.secret("given_admin_token"),
            given_secret_pepper=read.secret("given_secret_pepper"),
            host=read.text("host"),
            port_base=read.number("port_base", 1, 65_533),
            given_trigger_url=read.url("given_trigger_url"),
            given_ingestion_url=read.url("given_ingestion_url"),
            given_public_signals_url=read.url("given_public_signals_url"),
            ingestion_workers=read.number("ingestion_workers", 1, 64),
            spool=read.number("spool", 0, 10_000_000),
            spool_patience=read.number("spool_patience", 1, 30 * 86_400) * _SECOND,
            partitions=read.number("partitions", 1, 256),
            expiry=read.number("expiry", 1, 90 * 86_400) * _SECOND,
            attribution=read.number("attribution", 0, 90) * _DAY,
            retention=read.number("retention", 1, 3_650) * _DAY,
            signals_retention=read.number("signals_retention", 7, 3_650) * _DAY,
            profiles_retention=read.number("profiles_retention", 1, 36_500) * _DAY,
            audit_retention=read.number("audit_retention", 1, 36_500) * _DAY,
            housekeeping=read.number("housekeeping", 1, 86_400) * _SECOND,
            templates=read.folder("templates"),
            refusals_kept=read.number("refusals_kept", 1, 3_650) * _DAY,
            receipts_kept=read.number("receipts_kept", 30, 36_500) * _DAY,
            refusals_size=read.number("refusals_size", 0, 1_000_000) * 1_000_000,
            anonymous_kept=read.number("anonymous_kept", 1, 400) * _DAY,
            minutes_kept=read.number("minutes_kept", 48, 168) * _HOUR,
            streams=read.number("streams", 0, 500),
            live_pages=read.number("live_pages", 0, 500),
            environment=read.text("environment")[:40],
            sample_shop=read.url("sample_shop"),
            log_level=read.choice("log_level", _LEVELS),
            trigger_name=read.text("trigger_name"),
            public_url=read.url("public_url"),
            limit_key=read.number("limit_key", 0, 10_000_000),
            limit_address=read.number("limit_address", 0, 10_000_000),
            limit_profile=read.number("limit_profile", 0, 10_000_000),
            limit_burst=read.number("limit_burst", 1, 3_600),
            signature_tolerance=read.number("signature_tolerance", 1, 86_400) * _SECOND,
            trusted_proxies=read.number("trusted_proxies", 0, 10),
            session_idle=read.number("session_idle", 1, 24 * 365) * _HOUR,
            session_longest=read.number("session_longest", 1, 365) * _DAY,
            **read.oidc(),
            webhook_allowed_networks=read.networks("webhook_allowed_networks"),
            webhook_plain_http=read.choice("webhook_plain_http", ("yes", "no")) == "yes",
            webhook_timeout=read.number("webhook_timeout", 1, 60) * _SECOND,
            webhook_concurrency=read.number("webhook_concurrency", 1, 500),
            webhook_endpoint_concurrency=read.number("webhook_endpoint_concurrency", 1, 500),
            webhook_retry_factor=read.factor("webhook_retry_factor", 0.0001, 10),
            webhook_disable_after=read.number("webhook_disable_after", 1, 365) * _DAY,
            webhook_most_waiting=read.number("webhook_most_waiting", 1, 100_000_000),
            webhook_log=read.number("webhook_log", 1, 3_650) * _DAY,
        )

    @property
    def admin_token(self) -> str:
        """The bearer token; made and kept in the data folder when none is given."""
        return self.given_admin_token or kept_secret(self.data / "admin-token", lambda: secrets.token_urlsafe(32))

    @property
    def trigger_url(self) -> str:
        """Where trigger's REST API is reached."""
        return self.given_trigger_url or self._url_of(self.port_base + 2)

    @property
    def oidc(self) -> OidcSettings | None:
        """The identity provider, None where none is set."""
        if not self.oidc_issuer:
            return None
        return OidcSettings(
            issuer=self.oidc_issuer,
            client_id=self.oidc_client_id,
            client_secret=self.oidc_client_secret,
            role_claim=self.oidc_role_claim,
            default_role=_ROLES.get(self.oidc_default_role),
            button=self.oidc_button,
        )

    @property
    def app_url(self) -> str:
        """Where people reach the app, as far as is known before anybody has asked for it."""
        return self.public_url or self._url_of(self.port_base)

    @property
    def ingestion_url(self) -> str:
        """Where ingestion is reached within the installation, without a slash at its end."""
        return (self.given_ingestion_url or self._url_of(self.port_base + 1)).rstrip("/")

    @property
    def public_signals_url(self) -> str:
        """Where those who send signals reach ingestion, without a slash at its end."""
        return (self.given_public_signals_url or self.ingestion_url).rstrip("/")

    def _url_of(self, port: int) -> str:
        """The URL of a port; an address that means every interface is this machine's."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host  # noqa: S104 - it is compared
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def secret_pepper(self) -> bytes:
        """The key under which server secrets are hashed; made and kept in the data folder when none is given."""
        return (self.given_secret_pepper or kept_secret(self.data / "pepper", lambda: secrets.token_hex(32))).encode()


_SERVICES = ("config", "ingestion", "trigger")
_METADATA = {declared.name: declared.metadata for declared in fields(Settings)}


def documented_settings() -> list[tuple[str, str, str]]:
    """Variable, default and help of every setting, for the README and `--help`."""
    own = [(entry["variable"], entry["default"], entry["help"]) for entry in _METADATA.values()]
    return [
        *own[:2],
        ("MOMENTS_DATABASE_URL", "SQLite files in the data folder", "`postgresql://…`; a schema for each service."),
        *own[2:],
    ]


@dataclass(frozen=True, slots=True)
class _Reader:
    environ: Mapping[str, str]

    def text(self, name: str) -> str:
        declared = _METADATA[name]
        return self.environ.get(declared["variable"], "").strip() or str(declared["default"])

    def secret(self, name: str) -> str:
        value = self.text(name)
        if value and len(value) < 16:
            raise InvalidSetting(_METADATA[name]["variable"], "use 16 characters or more")
        if not value.isascii() or any(character.isspace() for character in value):
            raise InvalidSetting(_METADATA[name]["variable"], "use ASCII characters without spaces")
        return value

    def folder(self, name: str) -> Path | None:
        text = self.text(name)
        if not text:
            return None
        path = Path(text).expanduser().absolute()
        if not path.is_dir():
            raise InvalidSetting(_METADATA[name]["variable"], f"there is no folder {path}")
        return path

    def number(self, name: str, least: int, most: int) -> int:
        text = self.text(name)
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise InvalidSetting(_METADATA[name]["variable"], f"{text!r} is no whole number from {least} to {most}")
        return int(text)

    def factor(self, name: str, least: float, most: float) -> float:
        text = self.text(name)
        found = float(text) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) else -1.0
        if not least <= found <= most:
            raise InvalidSetting(_METADATA[name]["variable"], f"{text!r} is no number from {least} to {most}")
        return found

    def networks(self, name: str) -> tuple[str, ...]:
        found = []
        for text in self.text(name).replace(",", " ").split():
            try:
                found.append(str(ip_network(text)))
            except ValueError as error:
                raise InvalidSetting(_METADATA[name]["variable"], f"{text!r} is no network: {error}") from error
        return tuple(found)

    def url(self, name: str) -> str:
        text = self.text(name)
        if text and not text.startswith(("http://", "https://")):
            raise InvalidSetting(_METADATA[name]["variable"], "use http://host:port or https://host")
        return text

    def oidc(self) -> dict[str, str]:
        issuer = self.url("oidc_issuer")
        local = ("http://127.0.0.1", "http://localhost", "http://[::1]")
        if issuer and not issuer.startswith(("https://", *local)):
            raise InvalidSetting("MOMENTS_OIDC_ISSUER", "use https")
        if issuer and not self.text("oidc_client_id"):
            raise InvalidSetting("MOMENTS_OIDC_CLIENT_ID", "it is needed with MOMENTS_OIDC_ISSUER")
        texts = ("oidc_client_id", "oidc_client_secret", "oidc_role_claim", "oidc_button")
        return {
            "oidc_issuer": issuer,
            **{name: self.text(name) for name in texts},
            "oidc_default_role": self.choice("oidc_default_role", (*_ROLES, "none")),
        }

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        text = self.text(name).lower()
        if text not in choices:
            raise InvalidSetting(_METADATA[name]["variable"], f"{text!r} is none of {', '.join(choices)}")
        return text


def _broker_url(text: str, data: Path) -> str:
    if text in ("embedded", "embedded:"):
        return f"embedded://{quote(str(data / 'broker.db'))}"
    if text.startswith(("embedded:///", "amqp://", "amqps://")):
        return text
    raise InvalidSetting("MOMENTS_BROKER_URL", "use embedded:, embedded:///path/broker.db or amqp://…")


def _database_url(environ: Mapping[str, str], service: str, data: Path) -> str:
    for variable in (f"MOMENTS_{service.upper()}_DATABASE_URL", "MOMENTS_DATABASE_URL"):
        text = environ.get(variable, "").strip()
        if not text:
            continue
        if text.startswith(("postgresql://", "postgres://")):
            return text
        if text.startswith("sqlite:///") and variable != "MOMENTS_DATABASE_URL":
            return text
        raise InvalidSetting(variable, "use postgresql://user:password@host/database")
    return f"sqlite://{quote(str(data / f'{service}.db'))}"


def kept_secret(path: Path, make: Callable[[], str]) -> str:
    """The secret in a file, which is made once (mode 600), also when two processes ask at the same time."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(make())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text(encoding="ascii").strip()
