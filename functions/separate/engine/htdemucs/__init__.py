"""HTDemucs' network, built for OpenVINO directly from its weights, without torch."""
