"""Programs that show how Moments is used; each runs as it is."""
