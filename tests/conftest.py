"""Settings of every test process."""

import os

from microdemucs.paths import ROOT

# Child processes find the packages as this process does (pyproject.toml, pythonpath).
os.environ["PYTHONPATH"] = f"{ROOT}:{ROOT / 'minio-events'}"
