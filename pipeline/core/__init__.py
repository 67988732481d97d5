"""What every wing may import: errors, columns and file names, settings, atomic writes, progress."""
