"""Reports have a manifest and a hash of their own, keep what they were computed from, and cannot be changed."""

import sqlalchemy as sa
from alembic import op

from studies.registry.immutable import make_immutable, make_mutable

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("report", sa.Column("manifest", sa.Text(), nullable=False, server_default=""))
    op.add_column("report", sa.Column("sha256", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "frozen_inputs",
        sa.Column("report_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("subjects", sa.Integer(), nullable=False),
        sa.Column("removed_at", sa.DateTime(), nullable=True),
        sa.Column("removed_because", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["report_id"], ["report.id"], name=op.f("fk_frozen_inputs_report_id")),
        sa.PrimaryKeyConstraint("report_id", name=op.f("pk_frozen_inputs")),
    )
    make_immutable(op.get_bind(), "report", "a report is never changed or removed")


def downgrade() -> None:
    make_mutable(op.get_bind(), "report")
    op.drop_table("frozen_inputs")
    op.drop_column("report", "sha256")
    op.drop_column("report", "manifest")
