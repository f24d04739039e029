"""Settings of every test process."""

import os

from microdemucs.paths import ROOT
from testing.events_secret import EVENTS_SECRET

# Child processes find the packages as this process does (pyproject.toml, pythonpath).
os.environ["PYTHONPATH"] = f"{ROOT}:{ROOT / 'minio-events'}"

# The functions and the bridge do not start without it.
os.environ["EVENTS_SECRET"] = EVENTS_SECRET

# Before anything imports torch, which reads it once: threads of tests that run side by side would
# wait for each other on the same cores.
os.environ["OMP_NUM_THREADS"] = "1"
