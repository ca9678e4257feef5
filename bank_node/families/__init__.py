"""What every model family can do, whichever it is: scoring."""
