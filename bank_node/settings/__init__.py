"""The settings of a bank's node, and its stopwatch."""
