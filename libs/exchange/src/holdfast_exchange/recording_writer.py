"""Writes recordings: rows of any source as Parquet files that load without a quarantined row (TS-3).

A folder appears whole or not at all: it is made beside its place and renamed. Rows that break a rule are given back to
the caller, who says what becomes of them; they are never written.
"""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import mkdtemp

import polars as pl

from holdfast_exchange import recording_rules as rules
from holdfast_exchange.recording import MANIFEST
from holdfast_exchange.recording_files import PAIRS_PREFIX, Content, Kind, RecordingInvalid
from holdfast_exchange.recording_rules import Quarantined

PRICE, FINE = pl.Decimal(18, 4), pl.Decimal(28, 8)
OWN_SUFFIXES = frozenset({".parquet", ".toml", ".md", ".csv"})
"""What a recording consists of; a folder with anything else is not overwritten."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Good rows of one kind, typed as in the files, in order; and the bad ones, with where they came from."""

    kind: Kind
    frame: pl.DataFrame
    bad: tuple[Quarantined, ...]


def rows_of(kind: Kind, frames: Iterable[pl.DataFrame], *, now: datetime | None = None) -> Rows:
    """Sorts and judges rows: the kind's columns, `ts` in UTC, and `file` and `row` that say where each came from.

    Prices and sizes may be decimals or text that is one. They are rounded to what the files keep.
    """
    frame = pl.concat(frames)
    numbers = (*kind.prices, *kind.counts)
    pair = pl.col(kind.symbol).str.contains("/", literal=True)
    kept = []
    for column in numbers:
        value = _number(frame, column)
        places = 8 if column in kind.counts else 4
        kept.append(pl.when(pair).then(value).otherwise(value.round(places)).cast(FINE).alias(column))
    order = [kind.symbol, "ts", *(("expiry", "right", "strike") if kind.content is Content.OPTION_TRADES else ())]
    frame = frame.with_columns(kept).sort(order, maintain_order=True, nulls_last=True)
    named = frame.rename({kind.symbol: "symbol"}).with_columns(pl.col("row").cast(pl.UInt32))
    # Rows of several files are in order now, which each by itself need not be.
    verdict = rules.judged([named.with_columns(source=pl.col("file"), file=pl.lit(""), row=_place())], kind, now)
    reasons = verdict["reason"]
    bad = frame.select("file", "row").with_columns(reason=reasons).filter(pl.col("reason").is_not_null())
    return Rows(
        kind,
        frame.filter(reasons.is_null()).select(kind.columns),
        tuple(Quarantined(*found) for found in bad.sort("file", "row").iter_rows()),
    )


def _number(frame: pl.DataFrame, column: str) -> pl.Expr:
    value = pl.col(column).cast(FINE, strict=False)
    if frame.schema[column] != pl.String:
        return value
    # 1e-7 is a number too.
    return pl.coalesce(value, pl.col(column).cast(pl.Float64, strict=False).cast(FINE, strict=False))


def _place() -> pl.Expr:
    return pl.int_range(pl.len(), dtype=pl.UInt32)


def write(folder: Path, rows: Iterable[Rows], *, told: Mapping[str, str], force: bool = False) -> list[str]:
    """Makes `folder` of `rows` and a manifest of what is `told`; gives the names of its files.

    `force` replaces a recording that is there. Raises RecordingInvalid where there is one without it, where the folder
    holds anything else, and where there is no row at all.
    """
    parts = [(name, frame) for each in rows for name, frame in _parts(each) if not frame.is_empty()]
    if not parts:
        raise RecordingInvalid("there is no good row to write")
    check_place(folder, force=force)
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, frame in parts:
            frame.write_parquet(made / name, compression="zstd")
        lines = [f'{key} = "{_quoted(value)}"' for key, value in told.items()]
        (made / MANIFEST).write_text("\n".join(lines) + "\n", "utf-8")
        made.chmod(0o755)
        _put(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return [name for name, _ in parts]


def check_place(folder: Path, *, force: bool) -> None:
    """Raises RecordingInvalid where `write` would not write: asked before long work, not after it."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise RecordingInvalid(f"{folder} is there already and is no folder")
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    if not found:
        return
    if strangers := [each.name for each in found if each.is_dir() or each.suffix not in OWN_SUFFIXES]:
        raise RecordingInvalid(f"{folder} holds what is no recording ({strangers[0]}): it is not overwritten")
    if not force:
        raise RecordingInvalid(f"{folder} is not empty: --force replaces all of it")


def _put(made: Path, folder: Path) -> None:
    if not folder.exists():
        made.rename(folder)
        return
    old = Path(mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
    folder.rename(old)
    try:
        made.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _parts(rows: Rows) -> list[tuple[str, pl.DataFrame]]:
    """A file for equities with four places and whole shares where they are, and one for pairs with eight."""
    kind, frame = rows.kind, rows.frame
    pair = pl.col(kind.symbol).str.contains("/", literal=True)
    equities = frame.filter(~pair)
    kinds: dict[str, pl.DataType] = dict.fromkeys(kind.prices, PRICE)
    kinds |= {name: pl.Int64() for name in kind.counts if (equities[name] == equities[name].floor()).all()}
    stamp = pl.col("ts").cast(pl.Datetime("ms", "UTC"))
    return [
        (
            f"{kind.prefix}.parquet",
            equities.with_columns(stamp, *(pl.col(name).cast(to) for name, to in kinds.items())),
        ),
        (f"{PAIRS_PREFIX}{kind.prefix}.parquet", frame.filter(pair).with_columns(stamp)),
    ]


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
