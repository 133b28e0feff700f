"""Samples to runs to blocks to estimates to verdicts: pure functions on tables."""
