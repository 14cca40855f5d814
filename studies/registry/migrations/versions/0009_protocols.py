"""What only a person knows of a study: versions of its protocol, which cannot be changed."""

import sqlalchemy as sa
from alembic import op

from studies.registry.immutable import make_immutable, make_mutable

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "protocol",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_protocol_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_protocol")),
        sa.UniqueConstraint("study_id", "version", name=op.f("uq_protocol_study_id_version")),
    )
    make_immutable(op.get_bind(), "protocol", "a version of a protocol cannot be changed")


def downgrade() -> None:
    make_mutable(op.get_bind(), "protocol")
    op.drop_table("protocol")
