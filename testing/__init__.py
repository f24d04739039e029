"""Code that tests and benchmarks share: the stack, function processes, songs, a cluster."""
