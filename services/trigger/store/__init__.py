"""The trigger's database: the only place that knows its tables."""
