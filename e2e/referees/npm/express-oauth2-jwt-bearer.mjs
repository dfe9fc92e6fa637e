// express-oauth2-jwt-bearer guards an API: it finds the tenant's keys by
// discovery and takes the tokens that are for this API.
import { auth, requiredScopes } from 'express-oauth2-jwt-bearer';
import { serve, settings } from './dialogue.mjs';

await serve(async (express) => {
  const app = express.Router();
  const { issuer, audience } = settings;
  app.use(auth({ issuerBaseURL: issuer, audience }));
  app.get('/calls', requiredScopes('read:calls'), (req, res) => res.json({ sub: req.auth.payload.sub, scope: req.auth.payload.scope }));
  return app;
});
