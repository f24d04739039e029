"""A long song in several requests: its ranges, their results, and their messages."""
