"""Rows of samples put in order and reduced to streams, blocks and counts."""
