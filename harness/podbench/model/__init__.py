"""Records, ids, units and errors: the bottom layer. Standard library and msgspec only."""
