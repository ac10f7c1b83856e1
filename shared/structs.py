"""What msgspec knows of a struct: it is learnt while modules are loaded, never by threads."""

from __future__ import annotations

import msgspec


def learn(*structs: type) -> None:
    """Learn structs that `msgspec.convert` is to make: msgspec does so at the first use, and threads that do it at once
    end the whole process with a fault (msgspec 0.22.0). A decoder that a module makes learns its own.
    """
    for struct in structs:
        msgspec.json.Decoder(struct)
