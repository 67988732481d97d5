"""Parquet files that know what they were made from, and are made only when that changed."""
