"""Simulated annealing in parts: chains, moves, energies, temperatures."""
