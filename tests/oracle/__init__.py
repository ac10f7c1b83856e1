"""An independent oracle of the timing rules (DOMAIN §6) with its cases, strategies and sample checks."""
