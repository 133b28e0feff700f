"""Probes: one file each; every measurement runs in a child process of its own."""
