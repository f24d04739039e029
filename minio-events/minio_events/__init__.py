"""Bucket notifications on their way: from the store over NATS to the functions, and back up."""
