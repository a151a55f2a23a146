"""Alembic's migrations of the ledger: they only ever expand, so that the pods of two revisions work side by side."""
