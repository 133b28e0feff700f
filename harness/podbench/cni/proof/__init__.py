"""Which encapsulation packets take: evidence, routes, verdict."""
