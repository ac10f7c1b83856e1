"""What config publishes: its values as the versioned states of contracts, and those as messages."""

from __future__ import annotations

from contracts.configurations import ConfigurationState, KeyState
from contracts.moments import MomentState, SettingsVersion
from contracts.suppressions import SuppressionState
from contracts.tokens import TokenState
from contracts.topology import CONFIGURATION, STATE_CONFIGURATION, STATE_MOMENT, STATE_SUPPRESSION, STATE_TOKEN
from contracts.wire import encode
from services.config.access.resources import Token
from services.config.resources import AudienceConfiguration, Deletion, Key, Moment, Suppression
from shared.broker import Message

State = ConfigurationState | MomentState | TokenState | SuppressionState
_KEYS: dict[type[State], str] = {
    ConfigurationState: STATE_CONFIGURATION,
    MomentState: STATE_MOMENT,
    TokenState: STATE_TOKEN,
    SuppressionState: STATE_SUPPRESSION,
}


def configuration_state(value: AudienceConfiguration) -> ConfigurationState:
    """The state of a configuration."""
    return ConfigurationState(
        id=value.id,
        version=value.version,
        name=value.name,
        audience=value.audience,
        domains=value.domains,
        keys=tuple(_key_state(key) for key in value.keys),
        consent_required=value.consent_required,
        attributes=value.attributes,
        segment_events=value.segment_events,
    )


def _key_state(key: Key) -> KeyState:
    return KeyState(
        id=key.id,
        type=key.type,
        enabled=key.enabled,
        secret_hash=key.secret_hash,
        expires_at=key.expires_at,
        kinds=key.kinds,
        signed=key.signed,
    )


def moment_state(value: Moment, history: tuple[SettingsVersion, ...]) -> MomentState:
    """The state of a moment with the settings that were in force."""
    return MomentState(
        id=value.id,
        version=value.version,
        type=value.type,
        name=value.name,
        description=value.description,
        configuration_id=value.configuration_id,
        status=value.status,
        running_since=value.running_since,
        stopped_at=value.stopped_at,
        history=history,
    )


def token_state(value: Token) -> TokenState:
    """The state of an API token."""
    return TokenState(
        id=value.id,
        version=value.version,
        name=value.name,
        hash=value.hash,
        scope=value.scope,
        expires_at=value.expires_at,
        deleted=value.revoked_at is not None,
    )


def suppression_state(value: Suppression) -> SuppressionState:
    """The state of a customer whose signals are refused, or taken again."""
    return SuppressionState(
        id=value.id,
        version=value.version,
        configuration=value.configuration_id,
        deleted=value.ended_at is not None,
    )


def deleted_state(deletion: Deletion) -> State:
    """The last state of what was deleted."""
    kind = MomentState if deletion.kind == "moment" else ConfigurationState
    return kind(id=deletion.id, version=deletion.version, deleted=True)


def state_message(state: State) -> Message:
    """The message that carries a state; nobody need listen, a reader asks for a snapshot when it comes."""
    return Message(
        exchange=CONFIGURATION,
        routing_key=_KEYS[type(state)],
        body=encode(state),
        message_id=f"{state.id}:{state.version}",
        content_type="application/json",
        optional=True,
    )
