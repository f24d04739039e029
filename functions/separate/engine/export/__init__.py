"""Export of HTDemucs models from torch to OpenVINO."""
