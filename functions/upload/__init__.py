"""The REST API and the web form."""
