"""Renders the report as one HTML page: a Jinja template with its styles, and the figures."""
