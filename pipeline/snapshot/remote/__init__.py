"""An archive behind a URL, read in ranges. Only this part of the package talks to a network."""
