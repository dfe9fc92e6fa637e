// express-openid-connect in an Express application, by the code flow or, as
// it does by default, by an ID token in a form.
import eoc from 'express-openid-connect';
import { serve, settings } from './dialogue.mjs';

const { issuer, clientId, clientSecret, audience, responseType, responseMode } = settings;

// sessions keeps what the back-channel logout has ended, as an express-session store.
const ended = new Map();
const sessions = {
  get: (id, done) => done(null, ended.get(id)),
  set: (id, value, done) => { ended.set(id, value); done(null); },
  destroy: (id, done) => { ended.delete(id); done(null); },
};

await serve(async (express, url) => {
  const app = express.Router();
  app.use(eoc.auth({
    issuerBaseURL: issuer, baseURL: url, clientID: clientId, clientSecret, secret: 'a secret of the session, for tests',
    authRequired: false, auth0Logout: settings.auth0Logout, idpLogout: true,
    ...(settings.backchannel ? { backchannelLogout: { store: sessions } } : {}),
    authorizationParams: {
      response_type: responseType, response_mode: responseMode,
      ...(responseType === 'code' ? { audience, scope: 'openid profile email offline_access read:calls' } : {}),
    },
  }));
  app.get('/', (req, res) => res.json({ signedIn: req.oidc.isAuthenticated() }));
  app.get('/profile', eoc.requiresAuth(), async (req, res) => res.json({ email: req.oidc.user.email, sub: req.oidc.idTokenClaims.sub }));
  app.get('/userinfo', eoc.requiresAuth(), async (req, res) => res.json(await req.oidc.fetchUserInfo()));
  app.get('/refresh', eoc.requiresAuth(), async (req, res) => {
    const { refreshToken } = req.oidc;
    await req.oidc.accessToken.refresh();
    res.json({ rotated: req.oidc.refreshToken !== refreshToken });
  });
  return app;
});
