"""Studies of many runs: sweeps, and what each partner's data are worth."""
