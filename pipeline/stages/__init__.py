"""One short shell for each DVC stage: read, call, write."""
