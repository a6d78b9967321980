"""How good a mask is: networks, data, grafting, fine-tuning.  Knows nothing about HTTP."""
