"""What a partner keeps on disk: bins, the terms of linear models, models."""
