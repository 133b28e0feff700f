"""Drivers that observe: the cluster keeps its modes. They do not know each other."""
