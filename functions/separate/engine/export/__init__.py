"""Export of a torch network for OpenVINO."""
