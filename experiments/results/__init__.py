"""What finished runs say beside each other, and what they spent."""
