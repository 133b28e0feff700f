"""Watches a deployed run and ends it when the cluster is in trouble."""
