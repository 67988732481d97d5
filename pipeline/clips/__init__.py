"""The first n good clips of that order: their MP3s, and a reason for each clip that was rejected."""
