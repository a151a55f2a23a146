"""Faults on demand: what may go wrong at the venue, when, and how often it did (TS-3, BR-1 … BR-8).

Pure: `kinds` and `scope` are the typed plan, `plan` reads one and refuses a wrong one in sentences, `board` decides
which faults a call meets and counts them. Who carries a fault out is papermarket.
"""
