"""Until when an identity may be shown (SE-1)."""

from datetime import datetime

from cryptography import x509

from holdfast_runtime.errors import AskPerson
from holdfast_runtime.identity import Identity


def ends_of(identity: Identity) -> dict[str, datetime]:
    """When the certificate and its authority are over. Raises AskPerson naming what is no certificate."""
    found = {}
    for name, pem in (("the certificate", identity.certificate), ("the authority", identity.authority)):
        try:
            # Two authorities stand in one file while one follows the other: the last one to end counts.
            found[name] = max(each.not_valid_after_utc for each in x509.load_pem_x509_certificates(pem))
        except ValueError as error:
            raise AskPerson(f"{name} of {identity.service}: {error}", steps=("Issue it anew.",)) from error
    return found
