"""The report as a page: templates, styles and inline pictures."""
