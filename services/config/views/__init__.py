"""The REST resources of config, one module each."""

from __future__ import annotations

from services.config.views.audit import blueprint as audit
from services.config.views.catalogue import blueprint as catalogue
from services.config.views.configurations import blueprint as configurations
from services.config.views.moments import blueprint as moments
from services.config.views.suppressions import blueprint as suppressions
from services.config.views.tokens import blueprint as tokens
from services.config.views.users import blueprint as users

BLUEPRINTS = (configurations, moments, catalogue, audit, users, tokens, suppressions)
