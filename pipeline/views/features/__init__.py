"""The table of features of each clip: pitch, timbre, level, bounds of speech, words."""
