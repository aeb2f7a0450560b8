"""A store without a disk, which ends with its process."""
