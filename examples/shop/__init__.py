"""A shop of two pages that tells Moments what its visitors do: an example of the web SDK."""
