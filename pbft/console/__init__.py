"""The input language without a screen: what a line means, what it comes to, and how to help whoever types it.

Owns: text that strangers sent, made harmless; exit codes; operations from words; lines, their completion and hints; and
the `Console` (`pbft.console.session`) that runs them. `pbft shell` and the dashboard's input line are two faces of it.
Knows no terminal. This file imports nothing, since commands that need no console take single rooms of it.
"""
