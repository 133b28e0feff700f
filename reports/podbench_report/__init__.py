"""Renders results as one HTML file. It reads what analysis found and computes no statistics."""
