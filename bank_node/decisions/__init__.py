"""From a score to an action: probability of default, bands, reasons, the watch list."""
