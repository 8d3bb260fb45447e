"""Reports on the rows of a run: computes one model (`model`), and renders it for terminal, Markdown and HTML."""
