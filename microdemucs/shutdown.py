"""Whether this process was asked to stop (SIGTERM)."""

import threading

stopping = threading.Event()
"""Set on SIGTERM: finish soon, or hand back what cannot be finished in time."""
