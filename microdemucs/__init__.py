"""What all components share: the contract (events, jobs, options, documents) and the runtime.

The runtime is the HTTP service, settings, logs, and thin clients for the store and the bus.
"""

__version__ = "0.1.0"
