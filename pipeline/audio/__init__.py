"""Bytes and arrays in, arrays and facts out: MP3 frames, decoding, spectrograms. Nothing here touches a disk."""
