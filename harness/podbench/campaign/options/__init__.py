"""The options of `bench`: the table, what an entry is, checks, and the configuration file."""
