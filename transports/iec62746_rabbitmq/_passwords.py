"""The file of passwords: TOML, a line `account = "password"` each, mode 0600; "" stands for a certificate."""

import base64
import hashlib
import json
import os
import re
import secrets
import stat
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from iec62746 import LocalError

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_HEAD: Final = (
    '# Passwords of accounts on the communication server; "" means that the account has a certificate instead.\n'
)


class WrongPasswords(LocalError):
    """The file of passwords cannot be used; no message shows a password."""


def read(path: Path) -> dict[str, str]:
    """Return passwords by account; raises `WrongPasswords` if others may read the file, or if it is no such file."""
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise WrongPasswords(f"{path} can be read by others: chmod 600 {path}")
            found = tomllib.load(file)
    except OSError as exc:
        raise WrongPasswords(f"{path} cannot be read: {exc.strerror}") from exc
    except ValueError:  # its text is not shown: it holds passwords
        raise WrongPasswords(f'{path} is no TOML: write lines like ven-1 = "…"') from None
    wrong = [account for account, password in found.items() if not isinstance(password, str)]
    if wrong:
        raise WrongPasswords(f"{path}: {wrong[0]} has no text: quote accounts with dots, and every password")
    return found


def complete(path: Path, accounts: Iterable[str]) -> dict[str, str]:
    """Return `read(path)`, after random passwords for what it lacks of `accounts` were written to it.

    A missing file is made, with mode 0600; what stands in it stays.
    """
    known = read(path) if path.exists() else {}
    new = {account: secrets.token_urlsafe(24) for account in accounts if account not in known}
    if new:
        _add(path, new)
    return known | new


def _add(path: Path, new: Mapping[str, str]) -> None:
    """Write `new` behind what is there, so that nobody sees half a file, or one that others may read."""
    try:
        old = path.read_text("utf-8") if path.exists() else _HEAD
        # mkstemp: mode 0600 from the start.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with open(handle, "w", encoding="utf-8") as file:
                file.write(old if old.endswith("\n") or not old else old + "\n")
                file.writelines(f"{_key(account)} = {json.dumps(password)}\n" for account, password in new.items())
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as exc:
        raise WrongPasswords(f"{path} cannot be written: {exc.strerror}") from exc


def _key(account: str) -> str:
    return account if _BARE.fullmatch(account) else json.dumps(account, ensure_ascii=False)


def hashed(password: str, salt: bytes | None = None) -> str:
    """Return the salted hash as RabbitMQ keeps it (rabbit_password_hashing_sha256); "" of "", which lets nobody in."""
    if not password:
        return ""
    salt = secrets.token_bytes(4) if salt is None else salt
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def fits(password: str, found: str) -> bool:
    """Return whether `found` is a hash of `password`."""
    try:
        salt = base64.b64decode(found, validate=True)[:4]
    except ValueError:
        return False
    return secrets.compare_digest(hashed(password, salt), found)
