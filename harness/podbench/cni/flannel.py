"""Flannel."""
