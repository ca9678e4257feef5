"""The report of a run: document, verdict, pictures and page."""
