# Tells a process to read its certificates again when they have changed: reload.sh <folder> <name of the process>.
content() { cat "$1"/*.crt "$1"/*.key | sha256sum; }
# The lowest number is the one that started first: PostgreSQL's others are its children.
oldest() { grep -lx "$1" /proc/[0-9]*/comm 2>/dev/null | cut -d/ -f3 | sort -n | head -n 1; }

known=$(content "$1")
while sleep 10; do
  now=$(content "$1")
  process=$(oldest "$2")
  if [ "$now" != "$known" ] && [ -n "$process" ] && kill -HUP "$process"; then
    echo "$2 reads its certificate again"
    known=$now
  fi
done
