// openid-client: code with PKCE and nonce by PAR, userinfo, refresh, device,
// logout; then what must be refused.
import * as oidc from 'openid-client';
import { ask, refused, settings, tell } from './dialogue.mjs';

const { issuer, clientId, clientSecret, redirectUri, audience } = settings;
const config = await oidc.discovery(new URL(issuer), clientId, undefined, oidc.ClientSecretBasic(clientSecret), {
  execute: [...(issuer.startsWith('http:') ? [oidc.allowInsecureRequests] : []), oidc.enableNonRepudiationChecks],
});
const scope = 'openid profile email offline_access read:calls';

// signIn ends where the browser was sent back to.
async function signIn() {
  const verifier = oidc.randomPKCECodeVerifier();
  const checks = { pkceCodeVerifier: verifier, expectedState: oidc.randomState(), expectedNonce: oidc.randomNonce(), idTokenExpected: true };
  const authorize = await oidc.buildAuthorizationUrlWithPAR(config, {
    redirect_uri: redirectUri, scope, audience, code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256', state: checks.expectedState, nonce: checks.expectedNonce,
  });
  return { callback: new URL(await ask({ open: authorize.href })), checks };
}

const why = (err) => ({ status: err.status ?? err.cause?.status, error: err.error ?? err.cause?.[0]?.parameters?.error ?? err.code });

const { callback, checks } = await signIn();
const tokens = await oidc.authorizationCodeGrant(config, callback, checks);
const { sub } = tokens.claims();
const user = await oidc.fetchUserInfo(config, tokens.access_token, sub);
const refreshed = await oidc.refreshTokenGrant(config, tokens.refresh_token, { scope });
if (refreshed.claims().sub !== sub) throw new Error('the refreshed ID token is of somebody else');
if (refreshed.refresh_token === tokens.refresh_token) throw new Error('the refresh token was not rotated');

const device = await oidc.initiateDeviceAuthorization(config, { scope: 'openid', audience });
await ask({ open: device.verification_uri_complete });
const onDevice = await oidc.pollDeviceAuthorizationGrant(config, device);
if (onDevice.claims().sub !== sub) throw new Error('the device is of somebody else');

const logout = oidc.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: redirectUri, state: 'bye' });
const back = new URL(await ask({ open: logout.href }));
if (back.searchParams.get('state') !== 'bye') throw new Error('the logout lost its state');

const again = await signIn();
await oidc.authorizationCodeGrant(config, again.callback, again.checks);
const codeUsedTwice = why(await refused('a used code', () => oidc.authorizationCodeGrant(config, again.callback, again.checks)));
await oidc.tokenRevocation(config, refreshed.refresh_token);
const refreshRevoked = why(await refused('a revoked refresh token', () => oidc.refreshTokenGrant(config, refreshed.refresh_token)));
const forgedToken = why(await refused('a forged access token', () => oidc.fetchUserInfo(config, tokens.access_token.slice(0, -4) + 'AAAA', sub)));

tell({ email: user.email, scope: tokens.scope, lifetime: tokens.expires_in, codeUsedTwice, refreshRevoked, forgedToken });
