"""Signing in by an identity provider: OpenID Connect, the code flow with PKCE, by Authlib.

Authlib is imported when a provider is set, and not before.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from services.config.access.resources import ROLES, Role
from shared.clock import Clock
from shared.http import NotAllowed, NotAuthenticated, Unavailable
from shared.settings import OidcSettings

_SCOPE = "openid email profile"
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures that the provider alone can make: none that is made with the client's secret, and not `none`."""
_PATIENCE = 5.0
_TRY_AGAIN = "Try again in a moment, or sign in by a password."
_SECOND = 1_000_000
_REMEMBERED = 3600 * _SECOND
_LEEWAY = 60
_AWAY_FOR = 5 * _SECOND
"""Who comes while it does not answer is told so at once: each that waited would hold a thread of the app."""
_log = structlog.get_logger("access.oidc")


class ProviderAway(Unavailable):
    """The identity provider does not answer."""


class NotIdentified(NotAuthenticated):
    """The identity provider's answer does not hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who somebody is, as the provider says. `subject`: issuer and id there; `role`: None where it tells none."""

    subject: str
    email: str
    email_is_verified: bool
    name: str
    role: Role | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What a sign-in is recognised by when the browser comes back."""

    state: str
    nonce: str
    verifier: str


class IdentityProvider:
    """The provider of the settings; its description and keys are asked for when they are needed, and remembered."""

    def __init__(self, settings: OidcSettings, clock: Clock) -> None:
        self.settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[int, Any]] = {}
        self._away_until = 0

    def begin(self, redirect_uri: str) -> tuple[str, Beginning]:
        """Where to send the browser, and what to keep until it comes back."""
        beginning = Beginning(
            state=secrets.token_urlsafe(32), nonce=secrets.token_urlsafe(32), verifier=secrets.token_urlsafe(64)
        )
        with self._session(redirect_uri) as session:
            url, _ = session.create_authorization_url(
                self._description()["authorization_endpoint"],
                state=beginning.state,
                nonce=beginning.nonce,
                code_verifier=beginning.verifier,
            )
        return str(url), beginning

    def identify(self, code: str, redirect_uri: str, beginning: Beginning) -> Identity:
        """Who a code stands for; raises NotIdentified, NotAllowed and ProviderAway."""
        from authlib.common.errors import AuthlibBaseError

        try:
            with self._session(redirect_uri) as session:
                answer = session.fetch_token(
                    self._description()["token_endpoint"],
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=beginning.verifier,
                    timeout=_PATIENCE,
                )
        except AuthlibBaseError as error:
            _log.warning("oidc.refused", error=str(error.error)[:100])
            raise NotIdentified("The code was refused. Begin again.") from error
        except (OSError, ValueError) as error:
            raise _away(error) from error
        return self._identity(self._claims(str(answer.get("id_token", "")), beginning.nonce))

    def _claims(self, id_token: str, nonce: str) -> dict[str, Any]:
        """The claims of an ID token whose signature and claims hold (OpenID Connect Core, 3.1.3.7)."""
        from joserfc import jwt
        from joserfc.errors import JoseError

        claims: dict[str, Any]
        try:
            try:
                token = jwt.decode(id_token, self._keys(), algorithms=list(_ALGORITHMS))
            except (JoseError, ValueError):  # perhaps by a key that is newer than those that are remembered
                token = jwt.decode(id_token, self._keys(anew=True), algorithms=list(_ALGORITHMS))
            claims = token.claims
            jwt.JWTClaimsRegistry(
                now=self._clock.now() // _SECOND,
                leeway=_LEEWAY,
                iss={"essential": True, "value": self.settings.issuer},
                aud={"essential": True, "value": self.settings.client_id},
                sub={"essential": True},
                exp={"essential": True},
                iat={"essential": True},
                nonce={"essential": True, "value": nonce},
            ).validate(claims)
        except (JoseError, ValueError) as error:
            _log.warning("oidc.token_refused", error=type(error).__name__, detail=str(error)[:100])
            raise NotIdentified("Its token does not hold. Begin again.") from error
        if claims.get("azp", self.settings.client_id) != self.settings.client_id:
            raise NotIdentified("Its token is for somebody else.")
        return claims

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        email = str(claims.get("email") or "").strip()
        if "@" not in email or not email.isprintable() or len(email) > 254:
            raise NotAllowed("Your account at the identity provider has no e-mail address.")
        name = str(claims.get("name") or claims.get("preferred_username") or email).strip()
        return Identity(
            subject=f"{claims['iss']}|{claims['sub']}",
            email=email,
            email_is_verified=claims.get("email_verified") is True,
            name="".join(each for each in name if each.isprintable())[:200] or email,
            role=self._role(claims),
        )

    def _role(self, claims: Mapping[str, Any]) -> Role | None:
        """The highest role that the claim names: one text or a list, perhaps deeper down (`realm_access.roles`)."""
        found: Any = claims
        for part in self.settings.role_claim.split(".") if self.settings.role_claim else ():
            found = found.get(part) if isinstance(found, Mapping) else None
        named = [found] if isinstance(found, str) else found if isinstance(found, list) else []
        return next((role for role in reversed(ROLES) if role in named), None)

    def _description(self) -> Mapping[str, Any]:
        url = f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration"
        found = self._remembered(url)
        if not isinstance(found, dict) or found.get("issuer") != self.settings.issuer:
            self._known.pop(url, None)
            raise ProviderAway("It calls itself by another name than MOMENTS_OIDC_ISSUER.")
        if not {"authorization_endpoint", "token_endpoint", "jwks_uri"} <= set(found):
            raise ProviderAway("Its description is not whole.")
        return found

    def _keys(self, *, anew: bool = False) -> Any:
        from joserfc.jwk import KeySet

        return KeySet.import_key_set(self._remembered(self._description()["jwks_uri"], anew=anew))

    def _remembered(self, url: str, *, anew: bool = False) -> Any:
        """A document of the provider, asked for at most once an hour, unless `anew`."""
        with self._lock:
            at, found = self._known.get(url, (0, None))
            if found is not None and not anew and self._clock.now() - at < _REMEMBERED:
                return found
            if self._clock.now() < self._away_until:
                raise ProviderAway(_TRY_AGAIN, retry_after=5)
            try:
                with self._session("") as session:
                    answer = session.request("GET", url, withhold_token=True, timeout=_PATIENCE)
                answer.raise_for_status()
                found = answer.json()
            except (OSError, ValueError) as error:
                self._away_until = self._clock.now() + _AWAY_FOR
                raise _away(error) from error
            self._known[url] = (self._clock.now(), found)
            return found

    def _session(self, redirect_uri: str) -> Any:
        from authlib.integrations.requests_client import OAuth2Session

        return OAuth2Session(
            self.settings.client_id,
            self.settings.client_secret,
            scope=_SCOPE,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            token_endpoint_auth_method="client_secret_basic" if self.settings.client_secret else "none",
        )


def _away(error: Exception) -> ProviderAway:
    _log.warning("oidc.away", error=type(error).__name__, detail=str(error)[:200])
    return ProviderAway(_TRY_AGAIN, retry_after=5)
