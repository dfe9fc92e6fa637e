// panva's oidc-provider on a free port, configured to do what mockauth0 does: a JWT
// access token for the API and an ID token, both RS256 with 2048 bits, a refresh token,
// and no page for a browser that is logged in.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const api = 'https://api.example.com/';
const scope = 'read:calls';
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const server = createServer().listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [{
      client_id: 'demo',
      client_secret: 'demo-secret',
      token_endpoint_auth_method: 'client_secret_post',
      grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
      redirect_uris: ['http://localhost:8484/callback'],
    }],
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig' }] },
    cookies: { keys: ['bench'] },
    claims: { email: ['email'], profile: ['name'] },
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, email: id, name: id }) }),
    issueRefreshToken: () => true,
    loadExistingGrant: async (ctx) => {
      const { client, session, provider } = ctx.oidc;
      const known = session.grantIdFor(client.clientId);
      if (known) return provider.Grant.find(known);
      const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope('openid profile email offline_access');
      grant.addResourceScope(api, scope);
      await grant.save();
      return grant;
    },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => api,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({ audience: api, scope, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } }),
      },
    },
  });
  server.on('request', provider.callback());
  console.log(`listening ${port}`);
});
