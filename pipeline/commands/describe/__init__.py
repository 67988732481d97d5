"""A draft of a snapshot's description, guessed from its index and the heads of its tables; no clip is fetched."""
