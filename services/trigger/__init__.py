"""The trigger service: processes, waits, raises."""
