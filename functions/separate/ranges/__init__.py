"""A long song in several requests: its ranges, their results, and who asks for them."""
