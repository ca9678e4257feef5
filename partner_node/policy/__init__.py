"""What a partner permits: jobs that a person approved, and budgets for life."""
