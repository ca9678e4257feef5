"""`fedwarn new`: a first scenario for a table that nobody has described."""
