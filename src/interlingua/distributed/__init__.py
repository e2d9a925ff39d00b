"""Translation of collections too large for one process: Arrow batches, parts of a file, and Ray."""
