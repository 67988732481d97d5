"""A table of what can be measured of each clip: pitch, timbre, level, where speech starts and ends, words."""
