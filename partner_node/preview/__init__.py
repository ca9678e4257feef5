"""What a job would take out of a partner, before anybody says yes to it."""
