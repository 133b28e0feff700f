"""Flannel: the driver and its backend switch."""
