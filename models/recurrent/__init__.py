"""Recurrent networks: what the families ``gru`` and ``lstm`` share."""
