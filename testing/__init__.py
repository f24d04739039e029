"""What the tests and the benchmarks share: real stores, buses, stacks, clusters and songs."""
