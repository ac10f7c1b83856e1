"""What others need to read our messages: JSON Schemas and an AsyncAPI document, made from the declarations."""

from contracts.description.asyncapi import asyncapi_document
from contracts.description.messages import Described, all_messages

__all__ = ["Described", "all_messages", "asyncapi_document", "schema_documents"]


def schema_documents() -> dict[str, dict[str, object]]:
    """File name → JSON Schema (draft 2020-12) of every message."""
    return {f"{message.name}.json": message.schema_document() for message in all_messages()}
