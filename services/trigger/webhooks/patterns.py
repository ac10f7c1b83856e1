"""Patterns of routing keys, as AMQP topic bindings write them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from contracts.topology import topic_matches

_WORD = re.compile(r"[A-Za-z0-9_-]+|\*|#")
LONGEST_PATTERN = 255


def pattern_fault(pattern: str) -> str:
    """What is wrong with a pattern, for people; empty when nothing is."""
    if not pattern or len(pattern) > LONGEST_PATTERN:
        return f"A pattern has 1 to {LONGEST_PATTERN} characters."
    if not all(_WORD.fullmatch(word) for word in pattern.split(".")):
        return (
            "A pattern is words with full stops between: letters, digits, _ and -, or * for one word, "
            "or # for any number of words, as in moment.* or signal.survey.start."
        )
    return ""


def matches(patterns: Iterable[str], routing_key: str) -> bool:
    """Whether any of the patterns takes a routing key."""
    return any(topic_matches(pattern, routing_key) for pattern in patterns)
