"""What ingestion counts for Prometheus."""

from __future__ import annotations

from functools import lru_cache

from shared.metrics import Counter, Gauge, Histogram

ACCEPTED = Counter(
    "moments_signals_accepted", "Signals confirmed by the broker, or put into the spool.", ("kind", "touchpoint")
)
REFUSED = Counter("moments_signals_refused", "Signals, or whole requests, that were refused.", ("code",))
IGNORED = Counter("moments_segment_calls_ignored", "Calls of Segment clients that are no signal.", ("reason",))
CONFIRMED = Histogram(
    "moments_signals_confirm_seconds",
    "Time from handing the signals of a request to the broker until the last was confirmed.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
REPORTS_DROPPED = Counter(
    "moments_refusal_reports_dropped", "Refused signals of which trigger was not told.", ("reason",)
)
REPLAYED = Counter("moments_refusals_reread", "Refused signals that were read again, by outcome.", ("outcome",))
SPOOLED = Counter("moments_spool_put", "Signals put into the spool while the broker was away.")
NOT_SPOOLED = Counter("moments_spool_refused", "Signals that the spool could not take.", ("reason",))
DRAINED = Counter("moments_spool_drained", "Signals that left the spool for the broker.")
SPOOL_SIGNALS = Gauge("moments_spool_signals", "Signals in the spool.", multiprocess_mode="livemostrecent")
SPOOL_BYTES = Gauge("moments_spool_bytes", "Bytes of the spool in use.", multiprocess_mode="livemostrecent")
SPOOL_BOUND = Gauge("moments_spool_bound_bytes", "Bytes that the spool may have.", multiprocess_mode="livemostrecent")
SPOOL_OLDEST = Gauge(
    "moments_spool_oldest_timestamp_seconds",
    "When the first signal in the spool was accepted; 0 when it is empty.",
    multiprocess_mode="livemostrecent",
)


@lru_cache(256)
def accepted(kind: str, touchpoint: str) -> Counter:
    """The counter of accepted signals of a kind; there are few of them, and looking one up takes its time."""
    return ACCEPTED.labels(kind, touchpoint)
