"""Figures per pair, arm and block, with their intervals."""
