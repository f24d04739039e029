"""Stems on their way into the output bucket: encoded, previewed and uploaded block by block."""
