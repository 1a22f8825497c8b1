"""Measurements of what this library promises: each runs the real code, in a process of its own where memory counts.

Owns: workloads, what is counted and timed, and the figures as plain data. Knows nothing of screens.
"""
