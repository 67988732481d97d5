"""Bytes and arrays in, arrays and facts out: whole or damaged, decoded, as spectrograms; touches no disk."""
