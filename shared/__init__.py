"""Plumbing that knows no moment: broker, store, outbox, clock, settings, logs, metrics, HTTP."""
