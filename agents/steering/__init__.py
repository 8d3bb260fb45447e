"""Parts of `agents.steer`: reads scores, checks inputs, sets rates, counts steps."""
