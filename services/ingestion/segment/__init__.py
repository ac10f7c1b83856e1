"""Segment's HTTP API, as its clients and RudderStack's speak it: their calls become signals by a declared table."""
