"""Where this program's files are, so that no other module counts its own folders."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
"""The checkout, or /app in an image."""

FUNCTIONS = ROOT / "functions"
MODELS = ROOT / "models"
