"""Parquet files that record their inputs, and are made again only when these change."""
