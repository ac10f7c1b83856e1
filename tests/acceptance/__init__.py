"""The real program, started as a person starts it."""
