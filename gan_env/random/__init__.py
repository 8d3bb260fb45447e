"""Random numbers: one stream a row, a function of row seed, episode, purpose and index.

Imports nothing of this package. Import from its modules: `streams` (CPU), `counters` (many rows at once on a device).
"""
