"""The pure engine: (process, signal, moments, now) → decision. No clock, no database, no broker."""
