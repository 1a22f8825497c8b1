"""One replica process: the loop that drives the core, and what an operator sees of it."""
