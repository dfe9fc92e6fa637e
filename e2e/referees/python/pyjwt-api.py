"""PyJWT guards an API: it takes the tenant's keys from the JWKS, and the access tokens
that are for this API."""

import jwt

from dialogue import ask, report, settings

keys = jwt.PyJWKClient(settings["issuer"] + ".well-known/jwks.json")


def verify(token):
    try:
        claims = jwt.decode(
            token, keys.get_signing_key_from_jwt(token).key, algorithms=["RS256"], audience=settings["audience"],
            issuer=settings["issuer"], options={"require": ["exp", "iat", "sub"]},
        )
    except jwt.PyJWTError as error:
        return type(error).__name__
    return claims["sub"]


tokens = ask({"ready": True})
report({name: verify(token) for name, token in tokens.items()})
