"""A small OpenID Connect provider on a port of this machine: RS256, code flow, PKCE; it can be made to misbehave."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, jsonify, redirect, request
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from shared.clock import Clock
from tests.support.serving import served

CLIENT_ID, CLIENT_SECRET = "moments-app", "secret-of-the-app"


@dataclass(slots=True)
class IdentityProvider:
    """`person`: the claims of whoever signs in next. `changes`: claims to be set wrong, None: left out."""

    clock: Clock
    issuer: str = ""
    person: dict[str, Any] = field(default_factory=lambda: {"sub": "p-1", "email": "ada@example.com"})
    changes: dict[str, Any] = field(default_factory=dict)
    algorithm: str = "RS256"
    key: RSAKey = field(default_factory=lambda: new_key("k1"))
    signing_key: RSAKey | None = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked_keys: int = 0

    def rotate(self) -> None:
        """Sign by a new key from now on."""
        self.key = new_key("k2")

    def id_token(self, nonce: str) -> str:
        """The signed claims of the person."""
        now = self.clock.now() // 1_000_000
        claims: dict[str, Any] = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": nonce}
        claims |= {"email_verified": True, "name": "Ada Lovelace", **self.person, **self.changes}
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.algorithm == "none":
            head, body = (encoded(part) for part in ('{"alg":"none"}', json.dumps(claims)))
            return f"{head}.{body}."
        if self.algorithm == "HS256":
            return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(CLIENT_SECRET * 2))
        key = self.signing_key or self.key
        return jwt.encode({"alg": self.algorithm, "kid": key.kid}, claims, key)

    def app(self) -> Flask:
        """What browsers and the app under test call."""
        app = Flask("provider")

        @app.get("/.well-known/openid-configuration")
        def description() -> Response:
            return jsonify(
                issuer=self.issuer,
                authorization_endpoint=f"{self.issuer}/authorize",
                token_endpoint=f"{self.issuer}/token",
                jwks_uri=f"{self.issuer}/keys",
            )

        @app.get("/keys")
        def keys() -> Response:
            self.asked_keys += 1
            return jsonify(keys=[self.key.as_dict(private=False)])

        @app.get("/authorize")
        def authorize() -> Any:
            given = request.args
            assert given["response_type"] == "code"
            assert given["client_id"] == CLIENT_ID
            assert given["code_challenge_method"] == "S256"
            assert "openid" in given["scope"].split()
            code = secrets.token_urlsafe(16)
            self.codes[code] = given.to_dict()
            return redirect(f"{given['redirect_uri']}?{urlencode({'code': code, 'state': given['state']})}")

        @app.post("/token")
        def token() -> Any:
            asked = self.codes.pop(request.form.get("code", ""), None)
            credentials = request.authorization
            known = credentials is not None and (credentials.username, credentials.password) == (
                CLIENT_ID,
                CLIENT_SECRET,
            )
            challenge = hashlib.sha256(request.form.get("code_verifier", "").encode()).digest()
            if (
                asked is None
                or not known
                or base64.urlsafe_b64encode(challenge).rstrip(b"=").decode() != asked["code_challenge"]
                or request.form["redirect_uri"] != asked["redirect_uri"]
            ):
                return jsonify(error="invalid_grant"), 400
            return jsonify(access_token="a", token_type="Bearer", id_token=self.id_token(asked["nonce"]))

        return app


def new_key(name: str) -> RSAKey:
    """A key pair for signatures."""
    return RSAKey.generate_key(2048, {"kid": name, "use": "sig", "alg": "RS256"})


def encoded(text: str) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


@contextmanager
def running_provider(clock: Clock) -> Iterator[IdentityProvider]:
    """A provider, while it is asked."""
    provider = IdentityProvider(clock)
    with served(provider.app()) as port:
        provider.issuer = f"http://127.0.0.1:{port}"
        yield provider
