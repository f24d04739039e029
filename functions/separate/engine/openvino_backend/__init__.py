"""Networks on OpenVINO."""
