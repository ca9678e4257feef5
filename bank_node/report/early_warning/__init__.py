"""Watching customers month by month: who is alerted when, how long before the default, and what that is worth."""
