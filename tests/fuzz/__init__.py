"""Hostile requests, made from a seed, and what a service must not do when they come."""
