"""The compiled kernel: computes whole updates of plain MLPs in cache, with results equal to the bit on every machine."""
