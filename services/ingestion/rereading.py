"""Reading a refused signal again, by the keys, domains and catalogue of now. Pure."""

from __future__ import annotations

import msgspec

from contracts.signals import CATALOGUE
from contracts.times import to_datetime
from contracts.wire import SignalReplay
from services.ingestion.admission import Directory, admit_again
from services.ingestion.reading import Accepted, Reception, read_signal
from services.ingestion.refusals import Refusal


def read_again(refused: SignalReplay, directory: Directory, now: int) -> Accepted | Refusal:
    """The signal, with its own id, source and time, and received now (µs), so that the rules for late ones apply.

    Its time is corrected by the clock of the sender as it was when it came, not as of now.
    """
    admitted = admit_again(directory, refused.configuration, refused.key, refused.origin or None, now)
    if isinstance(admitted, Refusal):
        return admitted
    if refused.kind and refused.kind not in CATALOGUE:
        return Refusal(404, "unknown_kind", "the catalogue has no such kind of signal")
    try:
        item = msgspec.json.decode(refused.sent)
    except (msgspec.DecodeError, RecursionError):
        return Refusal(400, "malformed", "what is kept of the signal is no JSON")
    # A client of Segment's may have sent it anonymously.
    reception = Reception(admitted, refused.at, anonymous=True)
    outcome = read_signal(item, CATALOGUE.get(refused.kind), reception, clean=False)
    if isinstance(outcome, Refusal):
        return outcome
    received_at = to_datetime(max(now, refused.at))
    return msgspec.structs.replace(outcome, data=msgspec.structs.replace(outcome.data, received_at=received_at))
