"""The API server: client, identity, apply, watch, port-forward."""
