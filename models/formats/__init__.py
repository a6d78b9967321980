"""File formats that come from strangers: read piece by piece, bounded in memory, and never as a pickle."""
