"""What Alpaca publishes about its answers, as types: the measure of papermarket's own answers, and its OpenAPI page.

Source: Alpaca's OpenAPI descriptions of the Trading API (2.0.1) and the Market Data API (1.1) as of June 2026, its
pages on the two WebSockets, and the models of alpaca-py 0.44 where they say more. Facts only, in this project's own
structure.
"""
