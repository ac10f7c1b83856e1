"""How the signals of a process fold into its content (DOMAIN §2.2)."""

from contracts.processes.content import (
    BrowseContent,
    CartContent,
    Content,
    ContentState,
    Purchase,
    SteppedContent,
    change_quantities,
    empty_content,
    worth,
)

__all__ = [
    "BrowseContent",
    "CartContent",
    "Content",
    "ContentState",
    "Purchase",
    "SteppedContent",
    "change_quantities",
    "empty_content",
    "worth",
]
