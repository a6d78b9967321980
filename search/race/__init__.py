"""The race: who leads, who takes part, and the two heats that choose the winner."""
