# Makes the cluster at the first start, whole or not at all. The name of a service is the role its certificate logs in.
set -eu
[ ! -s "$PGDATA/PG_VERSION" ] || exit 0
rm -rf "$PGDATA.new"
initdb --pgdata="$PGDATA.new" --encoding=UTF8 --locale=C.UTF-8 --username=postgres --auth=peer >/dev/null
# execution owns the ledger; admin may only read and insert halts, which the migration grants it.
postgres --single -D "$PGDATA.new" postgres >/dev/null <<'SQL'
CREATE ROLE execution LOGIN
CREATE ROLE admin LOGIN
CREATE DATABASE holdfast OWNER execution
REVOKE CONNECT ON DATABASE holdfast FROM PUBLIC
GRANT CONNECT ON DATABASE holdfast TO admin
SQL
[ ! -d "$PGDATA" ] || rmdir "$PGDATA"
mv "$PGDATA.new" "$PGDATA"
