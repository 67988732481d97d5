"""The same clips in other forms: a table, pictures, series, text."""
