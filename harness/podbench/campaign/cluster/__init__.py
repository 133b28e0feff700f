"""A run on a cluster: survey, consent, announced changes, restore."""
