"""Chance that repeats: a number from a seed and words, the same in every process and on every machine."""

from hashlib import sha256

_WHOLE = float(1 << 53)


def uniform(*words: object) -> float:
    """A number in [0, 1), spread evenly over different words."""
    digest = sha256("/".join(map(str, words)).encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / _WHOLE


def between(low: float, high: float, *words: object) -> float:
    """A number in [low, high)."""
    return low + (high - low) * uniform(*words)


def heavy_tail(scale: float, exponent: float, most: float, *words: object) -> float:
    """A Pareto number: at least `scale`, rarely many times that, never above `most`."""
    return float(min(most, scale / (1.0 - uniform(*words)) ** (1.0 / exponent)))
