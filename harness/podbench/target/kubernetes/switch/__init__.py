"""Changes the cluster's own mode and restores it."""
