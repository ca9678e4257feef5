"""A bank's node: the place where its data, keys, ledger and transport meet."""
