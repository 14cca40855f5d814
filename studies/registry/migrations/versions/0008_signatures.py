"""Signatures of reports, which cannot be changed, and the public keys of those who sign."""

import sqlalchemy as sa
from alembic import op

from studies.registry.immutable import make_immutable, make_mutable

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "signer_key",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("public_key", sa.String(), nullable=False),
        sa.Column("registered_at", sa.DateTime(), nullable=False),
        sa.Column("registered_by", sa.String(), nullable=False),
        sa.Column("revoked_at", sa.DateTime(), nullable=True),
        sa.Column("revoked_because", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signer_key")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_signer_key_fingerprint")),
    )
    op.create_table(
        "signature",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("report_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("statement", sa.Text(), nullable=False),
        sa.Column("algorithm", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("key_id", sa.Integer(), nullable=True),
        sa.Column("sheet", sa.JSON(), nullable=False),
        sa.Column("signed_at", sa.DateTime(), nullable=False),
        sa.Column("signed_by", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["signer_key.id"], name=op.f("fk_signature_key_id")),
        sa.ForeignKeyConstraint(["report_id"], ["report.id"], name=op.f("fk_signature_report_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signature")),
        sa.UniqueConstraint("report_id", "number", name=op.f("uq_signature_report_id_number")),
    )
    make_immutable(op.get_bind(), "signature", "a signature is never changed or removed")


def downgrade() -> None:
    make_mutable(op.get_bind(), "signature")
    op.drop_table("signature")
    op.drop_table("signer_key")
