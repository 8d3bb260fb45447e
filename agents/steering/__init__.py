"""What `agents.steer` is made of: reading scores, checking what a loop gives, setting rates, counting steps."""
