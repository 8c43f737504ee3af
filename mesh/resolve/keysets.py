"""JSON Web Key Sets: the keys of one that Envoy can use. It refuses a whole configuration for a set without any."""

from __future__ import annotations

import base64
import binascii
import functools
import json
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

__all__ = ["usable_keys"]

_CURVES: Final[dict[str, type[ec.EllipticCurve]]] = {
    "P-256": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "P-521": ec.SECP521R1,
}
_ALGORITHMS: Final = {"RSA": ("RS", "PS"), "EC": ("ES",), "oct": ("HS",), "OKP": ("EdDSA",)}
_PARTS: Final = ("kty", "alg", "kid", "use", "n", "e", "crv", "x", "y", "k")


@functools.lru_cache(maxsize=256)
def usable_keys(text: str) -> str:
    """Return a key set with those keys only that tokens can be checked with; empty where there is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    keys = found.get("keys") if isinstance(found, dict) else None
    usable = [key for key in keys if _is_usable(key)] if isinstance(keys, list) else []
    kept = [{part: key[part] for part in _PARTS if part in key} for key in usable]
    return json.dumps({"keys": kept}, sort_keys=True) if kept else ""


def _is_usable(key: Any) -> bool:
    if not isinstance(key, dict) or not all(isinstance(key[part], str) for part in _PARTS if part in key):
        return False
    kind = key.get("kty", "")
    if kind not in _ALGORITHMS or not key.get("alg", _ALGORITHMS[kind][0]).startswith(_ALGORITHMS[kind]):
        return False
    try:
        _load(kind, key)
    except (ValueError, KeyError, TypeError, OverflowError, binascii.Error):
        return False
    return True


def _load(kind: str, key: dict[str, str]) -> None:
    """Raise where the parts of a key are no key."""
    if kind == "RSA":
        rsa.RSAPublicNumbers(_number(key["e"]), _number(key["n"])).public_key()
    elif kind == "EC":
        ec.EllipticCurvePublicNumbers(_number(key["x"]), _number(key["y"]), _CURVES[key["crv"]]()).public_key()
    elif kind == "OKP":
        if key["crv"] != "Ed25519":
            raise ValueError(key["crv"])
        ed25519.Ed25519PublicKey.from_public_bytes(_bytes(key["x"]))
    elif not _bytes(key["k"]):
        raise ValueError("k")


def _bytes(text: str) -> bytes:
    if "=" in text or not text:
        raise ValueError(text)
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _number(text: str) -> int:
    return int.from_bytes(_bytes(text), "big")
