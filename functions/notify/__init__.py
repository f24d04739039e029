"""Deliver the events of jobs to webhooks."""
