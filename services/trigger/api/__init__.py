"""Trigger's REST resources: what became of a moment's waits."""
