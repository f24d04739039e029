"""The secret that the bridge and the functions share in all tests."""

EVENTS_SECRET = "the-secret-of-all-tests"
