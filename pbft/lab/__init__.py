"""A local group of real processes: made, started, watched and stopped."""
