"""The secret that a tree like this one would leak first: the id of an Alpaca key. A detector for detect-secrets."""

import re

from detect_secrets.plugins.base import RegexBasedDetector


class AlpacaKeyDetector(RegexBasedDetector):
    """Key ids of paper (PK…), live (AK…) and crypto (CK…) accounts."""

    secret_type = "Alpaca key id"
    denylist = (re.compile(r"\b[PAC]K[A-Z0-9]{18,24}\b"),)
