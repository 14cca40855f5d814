"""What a run leaves beside its predictions: an outcome for every scan, and the silhouettes that are kept of photos."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("run", sa.Column("identity", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "outcome",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("scan_id", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("quality", sa.JSON(), nullable=False),
        sa.Column("betas", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("pose", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("inputs", sa.JSON(), nullable=False),
        sa.Column("timings", sa.JSON(), nullable=False),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        sa.CheckConstraint("status IN ('determinate', 'indeterminate', 'unreachable')", name=op.f("ck_outcome_status")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_outcome_run_id")),
        sa.ForeignKeyConstraint(["scan_id"], ["scan.id"], name=op.f("fk_outcome_scan_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outcome")),
        sa.UniqueConstraint("run_id", "scan_id", name=op.f("uq_outcome_run_id_scan_id")),
    )
    op.create_index(op.f("ix_outcome_scan_id"), "outcome", ["scan_id"])
    op.create_table(
        "silhouette",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("scan_id", sa.Integer(), nullable=False),
        sa.Column("view", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("photo_sha256", sa.String(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(), nullable=True),
        sa.CheckConstraint("view IN ('front', 'back', 'left', 'right')", name=op.f("ck_silhouette_view")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_silhouette_run_id")),
        sa.ForeignKeyConstraint(["scan_id"], ["scan.id"], name=op.f("fk_silhouette_scan_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_silhouette")),
        sa.UniqueConstraint("scan_id", "view", name=op.f("uq_silhouette_scan_id_view")),
    )
    op.create_index(op.f("ix_silhouette_sha256"), "silhouette", ["sha256"])


def downgrade() -> None:
    op.drop_table("silhouette")
    op.drop_table("outcome")
    op.drop_column("run", "identity")
