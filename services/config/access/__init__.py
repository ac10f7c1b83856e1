"""Who may look at and change what: people, roles, sessions, and who acts in the present request.

A page declares by `@needs("editor")` or `@public("why")` whom it is for. Inside one that needs a role `viewer()` is
the person; `signed_in()` is None where nobody need be signed in. `csrf_field()` goes into every form.
"""

from __future__ import annotations

from services.config.access.viewer import Viewer, actor, needs, public, signed_in, viewer

__all__ = ["Viewer", "actor", "needs", "public", "signed_in", "viewer"]
