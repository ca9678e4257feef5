"""`fedwarn run`: from a scenario's table to the nodes of its parties, and to the report."""
