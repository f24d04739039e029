"""The programs between the store, the bus and the functions: bridge, intake, sweep, provision."""
