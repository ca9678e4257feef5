"""A partner's node: where a message meets the role that answers it."""
