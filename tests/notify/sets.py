"""Verifies Security Event Tokens: the keys' address, issuer and audience, then a token in each line of the input. Prints the claims that hold."""

import json
import sys

import jwt

url, issuer, audience = sys.argv[1:]
client = jwt.PyJWKClient(url)
for line in sys.stdin:
    token = line.strip()
    key = client.get_signing_key_from_jwt(token)
    assert jwt.get_unverified_header(token)["typ"] == "secevent+jwt"
    options = {"require": ["iss", "aud", "iat", "jti", "events", "sub_id", "txn"]}
    print(json.dumps(jwt.decode(token, key.key, algorithms=["ES256"], issuer=issuer, audience=audience, options=options)))
