"""Who asks, what the tokens prove, how often, and where this process may connect to."""
