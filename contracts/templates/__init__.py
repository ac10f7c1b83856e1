"""Templates: one TOML file each beside this module, loaded and checked once."""

from contracts.templates.declaration import Effect, Setting, Template
from contracts.templates.loading import (
    InvalidTemplate,
    load_template,
    load_templates,
    product_templates,
    template_from,
    templates,
    use_templates,
)
from contracts.templates.validation import Fault, validate_settings

__all__ = [
    "Effect",
    "Fault",
    "InvalidTemplate",
    "Setting",
    "Template",
    "load_template",
    "load_templates",
    "product_templates",
    "template_from",
    "templates",
    "use_templates",
    "validate_settings",
]
