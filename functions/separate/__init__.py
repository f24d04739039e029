"""Separate songs into stems."""
