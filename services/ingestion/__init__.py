"""The ingestion service: admits, validates and publishes signals; a signal is accepted once the broker has it."""
