// passport-auth0 in an Express application: it verifies the ID token's claims
// and reads the profile at /userinfo.
import session from 'express-session';
import passport from 'passport';
import Auth0Strategy from 'passport-auth0';
import { serve, settings } from './dialogue.mjs';

await serve(async (express, url) => {
  const app = express.Router();
  passport.use(new Auth0Strategy({
    domain: settings.domain, clientID: settings.clientId, clientSecret: settings.clientSecret, callbackURL: `${url}/callback`,
  }, (accessToken, refreshToken, params, profile, done) => done(null, {
    id: profile.id, displayName: profile.displayName, email: profile.emails[0].value, refresh: Boolean(refreshToken), scope: params.scope,
  })));
  passport.serializeUser((user, done) => done(null, user));
  passport.deserializeUser((user, done) => done(null, user));
  app.use(session({ secret: 'for tests', resave: false, saveUninitialized: false }), passport.session());
  app.get('/login', passport.authenticate('auth0', { scope: 'openid profile email offline_access', audience: settings.audience }));
  app.get('/callback', passport.authenticate('auth0', { failWithError: true }), (req, res) => res.json(req.user));
  return app;
});
