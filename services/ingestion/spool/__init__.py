"""Store and forward: signals that were accepted while the broker was away, kept durably on this machine."""
