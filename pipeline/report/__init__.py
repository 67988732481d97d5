"""How the sample compares with the population that it was drawn from."""
