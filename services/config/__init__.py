"""The config service: audience configurations, keys, moments, and their published state."""
