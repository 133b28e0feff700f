"""What a run creates in a cluster, and how it is removed."""
