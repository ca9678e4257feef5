"""What a run leaves behind: its facts, and the sentences of both languages."""
