"""The bus behind ports.bus and ports.buckets: streams, durable consumers, readers, buckets, dead letters."""
