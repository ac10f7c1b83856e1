"""Every reason that an explanation can give, with its words: the closed list (DOMAIN §6.12)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class SignalCode(StrEnum):
    """What one signal was to the waits of one process."""

    OPENED = "opened"
    SLID = "slid"
    JOINED = "joined"
    ENDED = "ended"
    NOTHING_TO_END = "nothing_to_end"
    NO_EFFECT = "no_effect"
    LEAVES_EMPTY = "leaves_empty"
    AFTER_END = "after_end"
    VISIT_CLOSED = "visit_closed"
    BOUGHT_BEFORE = "bought_before"
    EXPIRED = "expired"
    NOT_RUNNING = "not_running"
    OTHER_SITE = "other_site"
    OTHER_KIND = "other_kind"
    DECIDED = "decided"
    BEFORE_DECIDED = "before_decided"
    TOO_OLD = "too_old"
    NO_PROCESS = "no_process"


class Verdict(StrEnum):
    """What it all came to, in one word: the first that holds."""

    RAISED = "raised"
    PENDING = "pending"
    SUPPRESSED = "suppressed"
    ENDED = "ended"
    NEVER_OPENED = "never_opened"
    NEVER_RAN = "never_ran"
    NO_SUCH_SIGNALS = "no_such_signals"
    REFUSED = "refused"
    UNKNOWN_PROFILE = "unknown_profile"


# Read for every signal: the attribute of an enumeration costs ten times as much as a global.
NO_EFFECT = SignalCode.NO_EFFECT
LEAVES_EMPTY = SignalCode.LEAVES_EMPTY
AFTER_END = SignalCode.AFTER_END
VISIT_CLOSED = SignalCode.VISIT_CLOSED
BOUGHT_BEFORE = SignalCode.BOUGHT_BEFORE
EXPIRED = SignalCode.EXPIRED
NOT_RUNNING = SignalCode.NOT_RUNNING
OTHER_SITE = SignalCode.OTHER_SITE
OTHER_KIND = SignalCode.OTHER_KIND
DECIDED = SignalCode.DECIDED
BEFORE_DECIDED = SignalCode.BEFORE_DECIDED

SIGNAL_TEXTS: Mapping[SignalCode, str] = MappingProxyType(
    {
        SignalCode.OPENED: "It opened a wait.",
        SignalCode.SLID: "It came at or before the due of a wait and moved it.",
        SignalCode.JOINED: "It lies inside a wait; later activity was known already.",
        SignalCode.ENDED: "It ended a wait.",
        SignalCode.NOTHING_TO_END: "It ends what is pending; nothing was pending any more.",
        SignalCode.NO_EFFECT: "This kind of signal only changes the content.",
        SignalCode.LEAVES_EMPTY: "The content is empty after it, as it was before; nothing can be left behind.",
        SignalCode.AFTER_END: "After an end only an opening signal opens again; this one changes content.",
        SignalCode.VISIT_CLOSED: "The visit was closed and is not over yet; a later view is a new visit.",
        SignalCode.BOUGHT_BEFORE: "The purchase names no cart, and this cart was bought before it.",
        SignalCode.EXPIRED: "It was received later than the expiry allows; it opens and moves nothing.",
        SignalCode.NOT_RUNNING: "The moment was not running when it was received.",
        SignalCode.OTHER_SITE: "Its site is not among the sites of the moment.",
        SignalCode.OTHER_KIND: "Its kind is not among the kinds of the moment.",
        SignalCode.DECIDED: "It lies in an occurrence that is decided already; that is frozen.",
        SignalCode.BEFORE_DECIDED: "It lies at or before the due of the latest decided occurrence.",
        SignalCode.TOO_OLD: "It is older than what is kept of the process; it was ignored and counted.",
        SignalCode.NO_PROCESS: "It belongs to all processes that were active on its site before; none was.",
    }
)

ENDS: Mapping[str, str] = MappingProxyType(
    {
        "emptied": "The content became empty.",
        "merged": "A late signal joined it with another wait, which goes on.",
        "void": "A late signal took its ground away.",
    }
)

SUPPRESSIONS: Mapping[str, str] = MappingProxyType(
    {
        "stitched": "It was due before the anonymous customer was known to be this profile.",
        "ended_before_raise": "The process ended after the due, before the raise was recorded.",
        "empty": "Nothing was left at the due.",
        "minimum_views": "There were fewer views than the moment asks for.",
        "minimum_value": "The items were worth less than the moment asks for.",
        "categories": "No item belongs to a category of the moment.",
        "repeat": "It was raised before, and the moment is raised once.",
        "cool_down": "The profile's last raise of this moment lies within the cool-down.",
        "stopped": "The moment was stopped while the wait was pending.",
        "erased": "The profile was erased.",
    }
)

VERDICTS: Mapping[Verdict, str] = MappingProxyType(
    {
        Verdict.RAISED: "The moment was raised.",
        Verdict.PENDING: "A wait is pending; nothing is decided yet.",
        Verdict.SUPPRESSED: "A wait was suppressed; nothing was raised.",
        Verdict.ENDED: "Every wait ended before it was due.",
        Verdict.NEVER_OPENED: "No signal opened a wait.",
        Verdict.NEVER_RAN: "The moment has never been running.",
        Verdict.NO_SUCH_SIGNALS: "The profile is known, but no signal of it concerns this moment.",
        Verdict.REFUSED: "Every signal of the profile was refused by ingestion.",
        Verdict.UNKNOWN_PROFILE: "No signal of this profile is kept, and none was refused.",
    }
)
