"""A journey: a program that acts on moments. Copy it, and `contracts/`, and write your own handlers."""
