"""Webhooks: journeys that cannot speak AMQP get what they subscribe to by HTTP, signed, at least once (DOMAIN §7)."""
