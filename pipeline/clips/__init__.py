"""The first n good clips of that order: their files, and a reason for each clip that was rejected."""
