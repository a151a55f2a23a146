-- execution owns the ledger; admin may only read and insert halts, which the migration grants it.
CREATE ROLE execution LOGIN;
CREATE ROLE admin LOGIN;
CREATE DATABASE holdfast OWNER execution;
REVOKE CONNECT ON DATABASE holdfast FROM PUBLIC;
GRANT CONNECT ON DATABASE holdfast TO admin;
