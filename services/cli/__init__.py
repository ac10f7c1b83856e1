"""The `moments` command line and the supervisor; the only package that may import all three services."""
