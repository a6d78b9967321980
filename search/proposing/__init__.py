"""What optimizers share: first masks, breeding, choosing on a surrogate, fidelity rungs."""
