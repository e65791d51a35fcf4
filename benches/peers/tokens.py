#!/usr/bin/env python3
"""Makes the keys and tokens of the bench: `tokens.py FOLDER NUMBER`. Needs the package `cryptography`."""
import base64
import hashlib
import hmac
import json
import sys
import time
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

folder, number = Path(sys.argv[1]), int(sys.argv[2])
TEAM, DOMAIN, NOW = "bench.cloudflareaccess.com", "corp.example", int(time.time())
AUDIENCE = hashlib.sha256(b"bench").hexdigest()


def text(value):
    if not isinstance(value, bytes):
        value = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


class Key:
    def __init__(self, name):
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.id = hashlib.sha256(name.encode() + str(NOW).encode()).hexdigest()
        public = self.private.public_key()
        self.pem = public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        n = public.public_numbers().n
        self.jwk = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.id, "e": "AQAB",
                    "n": text(n.to_bytes(256, "big"))}

    def sign(self, claims, **header):
        signed = f"{text({'alg': 'RS256', 'kid': self.id, 'typ': 'JWT'} | header)}.{text(claims)}"
        signature = self.private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{text(signature)}"


def claims(user, **other):
    """The claims of an application token; those that are set to `None` are left out."""
    all_claims = {
        "type": "app", "iss": f"https://{TEAM}", "aud": [AUDIENCE], "email": f"{user}@{DOMAIN}",
        "sub": hashlib.md5(user.encode()).hexdigest(), "country": "PT", "iat": NOW - 30, "nbf": NOW - 30,
        "exp": NOW + 86_400, "identity_nonce": hashlib.md5(b"nonce" + user.encode()).hexdigest()[:16],
    } | other
    return {name: value for name, value in all_claims.items() if value is not None}


current, previous, foreign = Key("current"), Key("previous"), Key("foreign")
valid = current.sign(claims("ada"))
head, body, signature = valid.split(".")


def hmac_token():
    signed = f"{text({'alg': 'HS256', 'kid': current.id, 'typ': 'JWT'})}.{body}"
    return f"{signed}.{text(hmac.digest(current.pem, signed.encode(), 'sha256'))}"


# Each with the address that the origin has to see, or `None` if the request has to be refused.
ada = f"ada@{DOMAIN}"
cases = {
    "a valid token": (valid, ada),
    "the previous key": (previous.sign(claims("ada")), ada),
    "two audiences": (current.sign(claims("ada", aud=["0" * 64, AUDIENCE])), ada),
    "expired": (current.sign(claims("ada", exp=NOW - 3600)), None),
    "no expiry": (current.sign(claims("ada", exp=None)), None),
    "not valid yet": (current.sign(claims("ada", nbf=NOW + 3600)), None),
    "another audience": (current.sign(claims("ada", aud=["0" * 64])), None),
    "no audience": (current.sign(claims("ada", aud=None)), None),
    "another issuer": (current.sign(claims("ada", iss="https://other.cloudflareaccess.com")), None),
    "another domain": (current.sign(claims("ada", email="ada@elsewhere.example")), None),
    "a domain that ends alike": (current.sign(claims("ada", email=f"ada@not{DOMAIN}")), None),
    "a domain that begins alike": (current.sign(claims("ada", email=f"ada@{DOMAIN}.evil.example")), None),
    "no address": (current.sign(claims("ada", email=None)), None),
    "an unknown key": (foreign.sign(claims("ada")), None),
    "an unknown key under a known id": (foreign.sign(claims("ada"), kid=current.id), None),
    "another token's signature": (f"{head}.{body}.{current.sign(claims('bob')).split('.')[2]}", None),
    "changed claims": (f"{head}.{text(claims('root'))}.{signature}", None),
    "no signature": (f"{head}.{body}.", None),
    "half a signature": (f"{head}.{body}.{signature[:170]}", None),
    "the algorithm none": (f"{text({'alg': 'none', 'kid': current.id})}.{body}.", None),
    "the public key as a secret": (hmac_token(), None),
    "not a token": ("x", None),
}

users = [current.sign(claims(f"user{n}")) for n in range(number)]
signatures = [token.split(".")[2] for token in users]
mixed = [token.rsplit(".", 1)[0] + "." + other
         for token, other in zip(users, signatures[1:] + signatures[:1])]

folder.mkdir(parents=True, exist_ok=True)
(folder / "current.pem").write_bytes(current.pem)
(folder / "previous.pem").write_bytes(previous.pem)
(folder / "jwks.json").write_text(json.dumps({"keys": [current.jwk, previous.jwk]}))
(folder / "hot.txt").write_text(valid + "\n")
(folder / "users.txt").write_text("\n".join(users) + "\n")
(folder / "invalid.txt").write_text("\n".join(mixed) + "\n")
# Written last: it says that the others are complete.
(folder / "made.json").write_text(json.dumps({
    "team": TEAM, "audience": AUDIENCE, "domain": DOMAIN, "current": current.id, "previous": previous.id,
    "cases": cases, "number": number}))
