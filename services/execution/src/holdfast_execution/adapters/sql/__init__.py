"""The ledger on SQLite and PostgreSQL, by one code path."""
