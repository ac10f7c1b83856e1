"""API tokens: what they look like, what their scopes allow, and their published state."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

Scope = Literal["read", "edit", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""From the least to the most; each allows what those before it allow."""

TOKEN_PREFIX = "mat"  # noqa: S105 - the beginning of every one
"""A token reads `mat_`, 32 random letters and digits, and six that check them."""


class TokenState(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """The published, full state of an API token. Readers keep the greatest `version`. Times in microseconds.

    `hash`: hex HMAC-SHA256 of the token with the installation's pepper. `deleted`: it was revoked.
    """

    id: str
    version: int
    name: str = ""
    hash: str = ""
    scope: Scope = "read"
    expires_at: int | None = None
    deleted: bool = False
