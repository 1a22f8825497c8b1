"""The protocol without input or output: the same classes run in production and in the simulator."""
