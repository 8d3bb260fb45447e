"""Files on disk: whole writes, locks, checked tensors without pickle, progress, and the settings of our own processes.

Imports nothing of this package. Import from its modules: `files`, `tensor_files`, `progress`, `process`.
"""
