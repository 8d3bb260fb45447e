"""Files on disk: atomic writes, locks, checksummed tensors without pickle; progress bars; settings of our processes.

Imports nothing of this package. Import from its modules: `files`, `tensor_files`, `progress`, `process`.
"""
