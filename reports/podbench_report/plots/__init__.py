"""Plots, one file each: inline SVG by matplotlib."""
