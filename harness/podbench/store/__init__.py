"""The run directory and its Parquet schemas."""
