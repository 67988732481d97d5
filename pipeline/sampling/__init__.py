"""One order of all eligible clips, every prefix of which is a stratified sample."""
