"""Speech to text (optional): an engine's transcript of each clip, compared with its sentence."""
