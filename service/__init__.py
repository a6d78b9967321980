"""The service: who asked, where a search runs, and what came of it."""
