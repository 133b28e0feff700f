"""CNI drivers: one file each, unknown to each other."""
