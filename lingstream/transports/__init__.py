"""How viewers and commands reach a run. Transports are siblings: none imports another."""
