"""TLS from files in PEM: whom to trust, and by which certificate we are known (62746-3, 6)."""

import ssl
from pathlib import Path
from typing import NoReturn

from iec62746.errors import LocalError

File = str | Path


def context(
    ca_file: File | None = None, certificate_file: File | None = None, key_file: File | None = None
) -> ssl.SSLContext:
    """Return a context of a client that trusts `ca_file`, without it what the system trusts, and shows a certificate.

    The key may be in the file of the certificate. Raises `LocalError`, which says which file is wrong.
    """
    made = _trusting(ca_file)
    if certificate_file is not None:
        _show(made, certificate_file, key_file or certificate_file)
    elif key_file is not None:
        raise LocalError(f"the key in {key_file} is of no use alone: name the file of its certificate as well")
    return made


def _trusting(file: File | None) -> ssl.SSLContext:
    if file is not None:
        _demand_readable(file)
    try:
        return ssl.create_default_context(cafile=file)
    except ssl.SSLError as exc:
        raise LocalError(f"{file} has no certificate of an authority in PEM") from exc


def _show(made: ssl.SSLContext, certificate: File, key: File) -> None:
    def refuse() -> NoReturn:
        raise LocalError(f"the key in {key} has a passphrase, and nobody is there to ask: write it without one")

    _demand_readable(certificate)
    _demand_readable(key)
    try:
        made.load_cert_chain(certificate, key, refuse)
    except ssl.SSLError as exc:
        if "MISMATCH" in (exc.reason or ""):
            raise LocalError(f"the key in {key} is not that of the certificate in {certificate}") from exc
        if key == certificate:
            raise LocalError(f"{key} has not both a certificate and its key, in PEM: name the key's file too") from exc
        raise LocalError(f"there is no certificate in {certificate}, or no key in {key}, in PEM") from exc


def _demand_readable(file: File) -> None:
    # What ssl raises for a file that is not there does not say which.
    try:
        Path(file).open("rb").close()
    except OSError as exc:
        raise LocalError(f"{file} cannot be read: {exc.strerror}") from exc
