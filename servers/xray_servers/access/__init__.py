"""Who may call the HTTP servers, and whose a scan is."""

from __future__ import annotations

from xray_servers.access.bearer import SCREEN_SCOPE, BearerTokens, check_tokens, new_token
from xray_servers.access.callers import FirstOf, owner_of
from xray_servers.access.keys import KeysAtUrl, KeysInFile, SigningKeys, signing_keys
from xray_servers.access.signed import JwtTokens

__all__ = [
    "SCREEN_SCOPE",
    "BearerTokens",
    "FirstOf",
    "JwtTokens",
    "KeysAtUrl",
    "KeysInFile",
    "SigningKeys",
    "check_tokens",
    "new_token",
    "owner_of",
    "signing_keys",
]
