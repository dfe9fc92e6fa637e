// node-auth0's AuthenticationClient, which builds every address from the
// domain, always by https.
import { randomBytes } from 'node:crypto';
import { AuthenticationClient, UserInfoClient } from 'auth0/legacy';
import { ask, refused, settings, tell } from './dialogue.mjs';

const { domain, clientId, clientSecret, redirectUri, audience } = settings;
const { oauth } = new AuthenticationClient({ domain, clientId, clientSecret });
const scope = 'openid profile email offline_access read:calls';

async function signIn(nonce) {
  const { data: pushed } = await oauth.pushedAuthorization({ client_id: clientId, response_type: 'code', redirect_uri: redirectUri, scope, audience, nonce });
  const authorize = `https://${domain}/authorize?` + new URLSearchParams({ client_id: clientId, request_uri: pushed.request_uri });
  const callback = new URL(await ask({ open: authorize }));
  return { code: callback.searchParams.get('code'), redirect_uri: redirectUri };
}

const why = (err) => ({ status: err.statusCode, error: `${err.error}: ${err.error_description}` });

const nonce = randomBytes(16).toString('hex');
const { data: tokens } = await oauth.authorizationCodeGrant(await signIn(nonce), { idTokenValidateOptions: { nonce } });
const { data: user } = await new UserInfoClient({ domain }).getUserInfo(tokens.access_token);
const { data: refreshed } = await oauth.refreshTokenGrant({ refresh_token: tokens.refresh_token });
if (!refreshed.refresh_token || refreshed.refresh_token === tokens.refresh_token) throw new Error('the refresh token was not rotated');
const { data: machine } = await oauth.clientCredentialsGrant({ audience });
const { data: byPassword } = await oauth.passwordGrant({ username: 'agent@example.com', password: 'password', scope, audience });

const used = await signIn(nonce);
await oauth.authorizationCodeGrant(used, { idTokenValidateOptions: { nonce } });
const codeUsedTwice = why(await refused('a used code', () => oauth.authorizationCodeGrant(used)));
await oauth.revokeRefreshToken({ token: byPassword.refresh_token });
const refreshRevoked = why(await refused('a revoked refresh token', () => oauth.refreshTokenGrant({ refresh_token: byPassword.refresh_token })));
const stranger = new AuthenticationClient({ domain, clientId, clientSecret: 'wrong' });
const wrongSecret = why(await refused('a wrong secret', () => stranger.oauth.clientCredentialsGrant({ audience })));

tell({ email: user.email, scope: tokens.scope, machine: machine.scope, codeUsedTwice, refreshRevoked, wrongSecret });
