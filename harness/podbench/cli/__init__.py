"""The command line: typer commands, one file each; parse and print only."""
