"""A run directory read back: gathered, analysed, set beside others."""
