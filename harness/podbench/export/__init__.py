"""A run's figures for other programs: one file per format."""
