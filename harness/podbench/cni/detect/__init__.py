"""From a cluster's objects and node facts to its CNI and settings."""
