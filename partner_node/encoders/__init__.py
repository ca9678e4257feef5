"""Columns made of events and graphs, at the feature holder alone: hand aggregates, and columns learned without labels.

Nothing here sends or answers a message: the columns are written into a file, and go through the algorithms as any
others. torch and scipy are imported only by the functions that need them.
"""
