"""A login with authlib, at a tenant that is a mock."""

import pytest
import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.jose import JsonWebKey, jwt

CALLBACK = "http://localhost:3000/callback"


@pytest.fixture
def session(mock, monkeypatch):
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")  # the mock speaks http
    metadata = requests.get(f"{mock.issuer}.well-known/openid-configuration").json()
    with OAuth2Session(
        "demo", "demo-secret", redirect_uri=CALLBACK, scope="openid email offline_access",
        token_endpoint_auth_method="client_secret_post", code_challenge_method="S256",
    ) as session:
        session.metadata.update(metadata)
        yield session


def login(session):
    """Goes through the authorization code flow.

    The mock logs in its first user and redirects without a page, so that no browser is
    needed.
    """
    verifier = "a verifier of at least forty-three characters".replace(" ", "-")
    url, state = session.create_authorization_url(session.metadata["authorization_endpoint"], code_verifier=verifier)
    callback = requests.get(url, allow_redirects=False).headers["Location"]
    return session.fetch_token(
        session.metadata["token_endpoint"], authorization_response=callback, state=state, code_verifier=verifier,
    )


def test_login(session, mock):
    token = login(session)
    keys = JsonWebKey.import_key_set(requests.get(session.metadata["jwks_uri"]).json())
    claims = jwt.decode(token["id_token"], keys, claims_options={"iss": {"value": mock.issuer}, "aud": {"value": "demo"}})
    claims.validate()
    assert claims["email"] == "agent@example.com"
    assert [(r["grant"], r["status"]) for r in mock.requests(endpoint="token")] == [("authorization_code", 200)]


def test_expired_access_token(session, mock):
    login(session)
    userinfo = session.metadata["userinfo_endpoint"]
    assert session.get(userinfo).json()["email"] == "agent@example.com"
    mock.control("POST", "clock", {"advance": "25h"})
    assert session.get(userinfo).status_code == 401


def test_refresh_after_revocation(session):
    token = login(session)
    session.revoke_token(session.metadata["revocation_endpoint"], token["refresh_token"])
    with pytest.raises(OAuthError, match="invalid_grant"):
        session.refresh_token(session.metadata["token_endpoint"], token["refresh_token"])
