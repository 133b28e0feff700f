"""podbench measures what a Kubernetes pod network really does."""

__version__ = "0.1.0"
