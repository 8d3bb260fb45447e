"""Files on disk: whole writes, locks, checked tensors without pickle, and the settings of our own processes.

Imports nothing of this package. Import from its modules: `files`, `tensor_files`, `process`.
"""
