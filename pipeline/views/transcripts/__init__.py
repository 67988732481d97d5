"""Speech to text, for who wants it: what an engine recognises in each clip, compared with its sentence."""
