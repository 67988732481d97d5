"""Where work runs. Nothing here can change a byte of any output."""
