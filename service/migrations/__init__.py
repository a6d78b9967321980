"""Alembic migrations, packaged so that the service can bring its own database up to date."""
