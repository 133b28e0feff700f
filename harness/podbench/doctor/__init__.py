"""What a machine, a lab or a cluster lacks for a run; each check names its fix."""
