"""The agent: one process per pod and node; commands in, measurements out.

It holds no credentials of the cluster.
"""
