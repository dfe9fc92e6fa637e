"""authlib: code with PKCE and nonce, the ID token verified, userinfo, refresh,
client credentials, revocation; then what must be refused."""

from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from authlib.jose import JsonWebKey, JsonWebToken
from authlib.oidc.core import CodeIDToken, UserInfo

from dialogue import ask, refused, report, settings

issuer, client_id, secret = settings["issuer"], settings["clientId"], settings["clientSecret"]
scope = "openid profile email offline_access read:calls"


def session(client_secret=secret, scope=scope):
    return OAuth2Session(
        client_id, client_secret, scope=scope, redirect_uri=settings["redirectUri"], code_challenge_method="S256",
        token_endpoint_auth_method="client_secret_post", revocation_endpoint_auth_method="client_secret_post",
    )


client = session()
metadata = client.request("GET", issuer + ".well-known/openid-configuration", withhold_token=True).json()
keys = JsonWebKey.import_key_set(client.request("GET", metadata["jwks_uri"], withhold_token=True).json())


def log_in():
    """Return the address that the browser was sent back to, and the secrets of the request."""
    verifier, nonce = generate_token(48), generate_token()
    url, state = client.create_authorization_url(
        metadata["authorization_endpoint"], code_verifier=verifier, nonce=nonce, audience=settings["audience"],
    )
    return ask({"open": url}), {"code_verifier": verifier, "state": state}, nonce


def fetch(callback, request):
    return client.fetch_token(metadata["token_endpoint"], authorization_response=callback, **request)


def claims(token, nonce=None):
    options = {
        "iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": client_id}, "sub": {"essential": True},
    }
    params = {"client_id": client_id, "nonce": nonce, "access_token": token["access_token"]}
    found = JsonWebToken(["RS256"]).decode(token["id_token"], keys, CodeIDToken, options, params)
    found.validate(leeway=10)
    return found


def why(error):
    return {"error": getattr(error, "error", type(error).__name__), "description": getattr(error, "description", str(error))}


callback, request, nonce = log_in()
token = fetch(callback, request)
who = claims(token, nonce)
user = UserInfo(client.get(metadata["userinfo_endpoint"]).json())
if user.sub != who.sub:
    raise AssertionError("/userinfo is of another user")
refreshed = dict(client.refresh_token(metadata["token_endpoint"], refresh_token=token["refresh_token"]))
if claims(refreshed).sub != who.sub:
    raise AssertionError("the refreshed ID token is of another user")
machine = dict(session(scope="read:calls").fetch_token(metadata["token_endpoint"], grant_type="client_credentials", audience=settings["audience"]))

again, request, _ = log_in()
fetch(again, request)
code_used_twice = why(refused("a used code", lambda: fetch(again, request)))
client.revoke_token(metadata["revocation_endpoint"], token=refreshed["refresh_token"], token_type_hint="refresh_token")
refresh_revoked = why(refused("a revoked refresh token", lambda: client.refresh_token(
    metadata["token_endpoint"], refresh_token=refreshed["refresh_token"])))
wrong_secret = why(refused("a wrong secret", lambda: session("wrong").fetch_token(
    metadata["token_endpoint"], grant_type="client_credentials", audience=settings["audience"])))
other_nonce = why(refused("another nonce", lambda: claims(token, "another")))

report({
    "email": user.email, "scope": token["scope"], "rotated": refreshed["refresh_token"] != token["refresh_token"],
    "machine": machine["scope"], "codeUsedTwice": code_used_twice, "refreshRevoked": refresh_revoked,
    "wrongSecret": wrong_secret, "otherNonce": other_nonce,
})
