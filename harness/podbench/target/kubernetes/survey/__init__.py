"""What a cluster has and allows, read without changing it."""
