"""The compiled kernel: computes whole updates of plain MLPs in cache, with the same bits on every machine."""
