"""The service on a Knative cluster: its installation, and clients of it and of kubectl."""
