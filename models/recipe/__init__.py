"""How a candidate is trained: options, the seams of its plug-ins, stages, minibatches, teachers."""
