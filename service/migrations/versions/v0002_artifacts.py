"""Uploads, and which searches need them.

Revision 0002.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "artifacts",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(80), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("n_tensors", sa.Integer, nullable=False),
        sa.Column("tensors", sa.JSON, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_artifacts"),
        sa.UniqueConstraint("id", name="uq_artifacts_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "search_artifacts",
        sa.Column("search_id", sa.String(40), nullable=False),
        sa.Column("artifact_id", sa.String(80), nullable=False),
        sa.ForeignKeyConstraint(
            ["search_id"],
            ["searches.id"],
            name="fk_search_artifacts_search_id_searches",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifacts.id"], name="fk_search_artifacts_artifact_id_artifacts"
        ),
        sa.PrimaryKeyConstraint("search_id", "artifact_id", name="pk_search_artifacts"),
    )
    op.create_index("ix_search_artifacts_artifact_id", "search_artifacts", ["artifact_id"])


def downgrade() -> None:
    """Drop both tables; the files stay where they are."""
    op.drop_index("ix_search_artifacts_artifact_id", "search_artifacts")
    op.drop_table("search_artifacts")
    op.drop_table("artifacts")
