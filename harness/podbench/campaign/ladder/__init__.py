"""The ladder: its design, the common capacity, one step, and the row that it gives."""
