"""The first schema: searches and their ledgers.

Revision 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both tables."""
    _create_searches()
    _create_ledger_rows()


def downgrade() -> None:
    """Drop both tables, with all they hold."""
    op.drop_table("ledger_rows")
    op.drop_index("ix_searches_status_priority_number", "searches")
    op.drop_table("searches")


def _create_searches() -> None:
    op.create_table(
        "searches",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("idempotency_key", sa.String(255)),
        sa.Column("body_digest", sa.String(64), nullable=False),
        sa.Column("progress", sa.JSON),
        sa.Column("result", sa.JSON),
        sa.Column("error", sa.JSON),
        sa.Column("stop_reason", sa.String(64)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("owner", sa.String(255)),
        sa.Column("fencing_token", sa.Integer, nullable=False),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True)),
        sa.Column("n_rows", sa.Integer, nullable=False),
        sa.Column("deaths", sa.Integer, nullable=False),
        sa.Column("n_rows_at_death", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_searches"),
        sa.UniqueConstraint("id", name="uq_searches_id"),
        sa.UniqueConstraint("idempotency_key", name="uq_searches_idempotency_key"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_searches_status_priority_number", "searches", ["status", "priority", "number"]
    )


def _create_ledger_rows() -> None:
    op.create_table(
        "ledger_rows",
        sa.Column("search_id", sa.String(40), nullable=False),
        sa.Column("row", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("phase", sa.String(32), nullable=False),
        sa.Column("batch", sa.Integer, nullable=False),
        sa.Column("chunk", sa.Integer, nullable=False),
        sa.Column("mask", sa.Text),
        sa.Column("steps", sa.Integer),
        sa.Column("arm", sa.String(255)),
        sa.Column("replicate", sa.Integer),
        sa.Column("outcome", sa.String(32)),
        sa.Column("fitness", sa.Double),
        sa.Column("loss", sa.Double),
        sa.Column("duration_seconds", sa.Double),
        sa.Column("name", sa.String(64)),
        sa.Column("value", sa.JSON),
        sa.Column("timings", sa.JSON),
        sa.ForeignKeyConstraint(
            ["search_id"],
            ["searches.id"],
            name="fk_ledger_rows_search_id_searches",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("search_id", "row", name="pk_ledger_rows"),
        sa.UniqueConstraint(
            "search_id",
            "mask",
            "steps",
            "arm",
            "replicate",
            name="uq_ledger_rows_search_id_mask_steps_arm_replicate",
        ),
        sa.UniqueConstraint(
            "search_id",
            "phase",
            "batch",
            "chunk",
            "name",
            name="uq_ledger_rows_search_id_phase_batch_chunk_name",
        ),
    )
