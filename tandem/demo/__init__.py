"""``make demo``: three days of real orders through every part, and a check of everything it claims."""
