"""Following a bucket, as admin does: its entries one after the other, for as long as the process lives."""

import asyncio
from collections.abc import Callable

from holdfast_runtime.ports.buckets import Bucket, Entry

IDLE_SECS = 2.0


async def follow(bucket: Bucket, take: Callable[[Entry], None], progress: Callable[[], None]) -> None:
    """`take` gets every entry until this is cancelled; the turns while the bucket is silent are idle."""
    entries = bucket.watch()
    following = asyncio.ensure_future(anext(entries))
    try:
        while True:
            await asyncio.wait({following}, timeout=IDLE_SECS)
            progress()
            if following.done():
                take(following.result())
                following = asyncio.ensure_future(anext(entries))
    finally:
        following.cancel()
