"""Questions about a sample, and ways to hand it on, that make no output of DVC."""
