"""Whether a cluster would take a run: rights, dry runs, webhooks, room; reads only."""
