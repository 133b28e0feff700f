"""Where agents run: the lab's namespaces or a Kubernetes cluster."""
