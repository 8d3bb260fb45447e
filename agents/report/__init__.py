"""Reads rows of benchmarks and reports on them: statistics, ranks, and renderers for terminal, Markdown and HTML."""
