"""Models as they are stored, exported and shown."""
