"""Scripted controllers, a file a rule or a family; `scripted` makes a controller of a pure rule.

A rule needs records, names and draws alone: torch and NumPy, no environment.
"""
