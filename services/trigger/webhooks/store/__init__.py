"""The rows of webhooks."""
