"""Speech to text (optional): an engine's transcript of each clip, compared with the words that are said in it."""
