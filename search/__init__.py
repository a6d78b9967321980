"""What to try next, what was found, and how sure we are.  Knows nothing about torch, networks or HTTP."""
