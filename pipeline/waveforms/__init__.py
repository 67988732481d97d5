"""The clips decoded, and the reader for everything that comes after."""
