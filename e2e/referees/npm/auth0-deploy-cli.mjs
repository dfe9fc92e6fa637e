// auth0-deploy-cli reads a tenant file as its import does and checks it against
// its schemas: all that it does before it calls the Management API.
import { setupContext } from 'auth0-deploy-cli/lib/context/index.js';
import { settings, tell } from './dialogue.mjs';

const context = await setupContext({
  AUTH0_INPUT_FILE: settings.file, AUTH0_EXCLUDED: settings.excluded, AUTH0_DOMAIN: 'localhost:1', AUTH0_ACCESS_TOKEN: 'never sent',
}, 'import');
await context.loadAssetsFromLocal();
const { clients, resourceServers, clientGrants, roles, organizations } = context.assets;
tell({
  clients: Object.fromEntries(clients.map(({ name, client_id, callbacks, grant_types, refresh_token }) => [
    name, { client_id, callbacks, grant_types, rotation: refresh_token?.rotation_type },
  ])),
  apis: resourceServers.map((api) => api.identifier), grants: clientGrants.length, roles: roles.map((r) => r.name),
  organizations: organizations.map((o) => o.name),
});
