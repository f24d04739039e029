"""The functions: separate, upload and notify."""
