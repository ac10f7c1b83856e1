"""What a signal may do to the waits of a template, judged at the process alone (DOMAIN §4, §6.6)."""

from __future__ import annotations

from enum import IntEnum

from contracts.signals import Signal, process_id_of
from contracts.templates import Template
from services.trigger.engine.reasons import AFTER_END, BOUGHT_BEFORE, EXPIRED, LEAVES_EMPTY, NO_EFFECT, VISIT_CLOSED


class Role(IntEnum):
    """The part of a signal in a process: only content; activity; or an end."""

    CONTENT = 0
    ACTIVITY = 1
    END = 2


EMPTIED = "emptied"


def role_of(
    template: Template,
    gates: dict[str, bool],
    signal: Signal,
    *,
    expiry: int,
    emptied: tuple[bool, bool],
    previous: int | None,
) -> tuple[Role, str]:
    """The role of the next signal in order, with the reason of an end or why it is but content; moves the gate.

    The gate tells whether a sliding signal may open: not between an ender and the next opening signal.
    `emptied`: whether the content was empty before and after it. `previous`: the time of the signal before it.
    """
    effect = template.effects.get(signal.kind.name)
    if effect is None:
        if signal.kind.name in template.reopens and not emptied[1]:
            gates[template.type] = True
        return Role.CONTENT, NO_EFFECT
    if template.once_per == "order":
        return _role_of_purchase(template, gates, signal, expiry)
    if effect in ("ends", "completes"):
        gates[template.type] = False
        return Role.END, signal.kind.name
    if template.needs_content and emptied[1]:
        if emptied[0]:
            return Role.CONTENT, LEAVES_EMPTY
        gates[template.type] = False
        return Role.END, EMPTIED
    if signal.received_at - signal.time > expiry:
        return Role.CONTENT, EXPIRED
    reopened = gates.get(template.type, True)
    if effect == "opens":
        if not reopened:
            if template.revisit and previous is not None and signal.time - previous <= template.revisit:
                return Role.CONTENT, VISIT_CLOSED
            gates[template.type] = True
        return Role.ACTIVITY, ""
    return (Role.ACTIVITY, "") if reopened else (Role.CONTENT, AFTER_END)


def _role_of_purchase(template: Template, gates: dict[str, bool], signal: Signal, expiry: int) -> tuple[Role, str]:
    if not _is_of_this_cart(template, gates, signal):
        return Role.CONTENT, BOUGHT_BEFORE
    return (Role.CONTENT, EXPIRED) if signal.received_at - signal.time > expiry else (Role.ACTIVITY, "")


def _is_of_this_cart(template: Template, gates: dict[str, bool], signal: Signal) -> bool:
    """Whether a purchase may be that of the cart; closes the cart's gate until it is opened again.

    One that names no cart belongs to every cart of its site, but not to those that were bought before (DOMAIN §2.2).
    """
    is_open = gates.get(template.type, True)
    gates[template.type] = False
    return is_open or process_id_of(signal) is not None
