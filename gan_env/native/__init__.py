"""The compiled kernel: whole updates of plain MLPs in cache, with the same bits on every machine."""
