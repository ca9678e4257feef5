"""What the two nodes have in common on their machine: settings, files, commands, checks."""
