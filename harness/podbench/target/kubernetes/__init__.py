"""A Kubernetes cluster as a target: the only importer of the kubernetes client."""
