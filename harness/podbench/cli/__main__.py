"""`python -m podbench.cli`: the same as the `bench` command."""

from podbench.cli.main import main

main()
