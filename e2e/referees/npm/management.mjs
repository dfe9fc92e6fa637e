// node-auth0's ManagementClient: what it gives back of each family of objects, of lists in
// pages, and of refusals. Each check has a name, and is told with its error, if any.
import assert from 'node:assert/strict';
import { ManagementClient } from 'auth0';
import { refused, settings, tell } from './dialogue.mjs';

const { domain, clientId, clientSecret, audience, callback } = settings;
const management = `https://${domain}/api/v2/`;
const api = new ManagementClient({ domain, clientId, clientSecret });

async function check(name, run) {
  try {
    await run();
    tell({ check: name });
  } catch (err) {
    tell({ check: name, error: err.stack });
  }
}

// has compares the members that are named.
function has(got, want, about) {
  assert.deepEqual(Object.fromEntries(Object.keys(want).map((name) => [name, got[name]])), want, about);
}

// all reads a list page by page to its end.
async function all(page) {
  const out = [];
  for await (const item of await page) out.push(item);
  return out;
}

// why is what the SDK makes of a refusal.
async function why(call) {
  const { name, statusCode, body } = await refused('the request', call);
  return [name, statusCode, body?.errorCode, body?.message];
}

// life creates an object, reads it, finds it in its list, changes it and deletes it, after
// which it is gone.
async function life({ of, id = 'id', create, created, change, changed, list = {}, same = true, gone }) {
  const made = await of.create(create);
  has(made, created, 'created');
  if (same) assert.deepEqual(await of.get(made[id]), made, 'a read after the create');
  const found = (await all(of.list(list))).filter((o) => o[id] === made[id]);
  assert.equal(found.length, 1, 'how often the list has it');
  has(await of.update(made[id], change), changed, 'changed');
  has(await of.get(made[id]), { ...changed }, 'a read after the change');
  await of.delete(made[id]);
  assert.deepEqual(await why(() => of.get(made[id])), gone);
}

const missing = (message, code) => ['NotFoundError', 404, code, message];

await check('clients', () => life({
  of: api.clients, id: 'client_id',
  create: { name: 'By the SDK', app_type: 'regular_web', callbacks: ['https://a.example.com/cb'], client_metadata: { team: 'red', floor: '2' } },
  created: {
    name: 'By the SDK', is_first_party: true, oidc_conformant: false, callbacks: ['https://a.example.com/cb'],
    grant_types: ['authorization_code', 'implicit', 'refresh_token', 'client_credentials'],
  },
  change: { name: 'Changed', callbacks: ['https://b.example.com/cb', 'https://a.example.com/cb'], client_metadata: { team: null } },
  changed: { name: 'Changed', callbacks: ['https://b.example.com/cb', 'https://a.example.com/cb'], client_metadata: { floor: '2' } },
  gone: missing('The client does not exist', 'inexistent_client'),
}));

await check('a rotated secret', async () => {
  const c = await api.clients.create({ name: 'Secret' });
  const { client_secret } = await api.clients.rotateSecret(c.client_id);
  assert.notEqual(client_secret, c.client_secret);
  assert.equal((await api.clients.get(c.client_id)).client_secret, client_secret);
  await api.clients.delete(c.client_id);
});

await check('clients in pages', async () => {
  const before = (await all(api.clients.list())).length;
  const made = [];
  for (let i = 0; i < 7; i++) made.push((await api.clients.create({ name: `Page ${i}` })).client_id);
  const first = await api.clients.list({ per_page: 3, include_totals: true });
  assert.equal(first.data.length, 3);
  has(first.response, { start: 0, limit: 3, total: before + 7 });
  const ids = (await all(api.clients.list({ per_page: 3 }))).map((c) => c.client_id);
  assert.equal(new Set(ids).size, before + 7, 'different clients in all pages');
  assert.deepEqual((await all(api.clients.list())).map((c) => c.client_id), ids, 'without per_page');
  assert.deepEqual(Object.keys((await api.clients.list({ fields: 'client_id,name', include_fields: true })).data[0]).sort(), ['client_id', 'name']);
  for (const id of made) await api.clients.delete(id);
  assert.equal((await all(api.clients.list({ per_page: 3 }))).length, before);
});

await check('resource servers', () => life({
  of: api.resourceServers,
  create: { name: 'Orders', identifier: 'https://orders.example.com/', scopes: [{ value: 'read:orders', description: 'Read' }], token_lifetime: 600 },
  created: { name: 'Orders', identifier: 'https://orders.example.com/', signing_alg: 'RS256', token_lifetime: 600, token_lifetime_for_web: 600 },
  change: { name: 'Orders 2', scopes: [{ value: 'write:orders', description: 'Write' }] },
  changed: { name: 'Orders 2', scopes: [{ value: 'write:orders', description: 'Write' }], identifier: 'https://orders.example.com/' },
  gone: missing('The resource server does not exist', 'inexistent_resource_server'),
}));

await check('client grants', async () => {
  const c = await api.clients.create({ name: 'Machine', app_type: 'non_interactive' });
  await life({
    of: api.clientGrants,
    create: { client_id: c.client_id, audience, scope: ['read:calls'] },
    created: { client_id: c.client_id, audience, scope: ['read:calls'], subject_type: 'client' },
    change: { scope: ['read:calls', 'write:calls'] },
    changed: { scope: ['read:calls', 'write:calls'], audience },
    list: { client_id: c.client_id, take: 1 },
    gone: missing('The grant does not exist.', 'inexistent_client_grant'),
  });
  await api.clients.delete(c.client_id);
});

await check('roles', async () => {
  await life({
    of: api.roles,
    create: { name: 'auditor', description: 'reads' },
    created: { name: 'auditor', description: 'reads' },
    change: { description: 'reads all' },
    changed: { name: 'auditor', description: 'reads all' },
    list: { name_filter: 'audit' },
    gone: missing('The role does not exist.'),
  });
  const role = await api.roles.create({ name: 'caller' });
  const permission = { resource_server_identifier: audience, permission_name: 'read:calls' };
  await api.roles.permissions.add(role.id, { permissions: [permission] });
  const permissions = await all(api.roles.permissions.list(role.id));
  assert.equal(permissions.length, 1);
  has(permissions[0], permission);
  const user = (await all(api.users.list({ q: 'email:"guest@example.com"' })))[0];
  await api.roles.users.assign(role.id, { users: [user.user_id] });
  assert.deepEqual((await all(api.roles.users.list(role.id))).map((u) => u.email), ['guest@example.com']);
  assert.deepEqual((await all(api.users.roles.list(user.user_id))).map((r) => r.name), ['caller']);
  await api.users.roles.delete(user.user_id, { roles: [role.id] });
  await api.roles.permissions.delete(role.id, { permissions: [permission] });
  assert.deepEqual([await all(api.roles.users.list(role.id)), await all(api.roles.permissions.list(role.id))], [[], []]);
  await api.roles.delete(role.id);
});

await check('users', async () => {
  const create = { connection: 'Username-Password-Authentication', email: 'sdk@example.com', password: 'Passw0rd-of-it' };
  await life({
    of: api.users, id: 'user_id',
    create: { ...create, user_metadata: { theme: 'dark', size: 2 }, app_metadata: { plan: 'gold' } },
    created: { email: 'sdk@example.com', email_verified: false, nickname: 'sdk', user_metadata: { theme: 'dark', size: 2 }, app_metadata: { plan: 'gold' } },
    change: { user_metadata: { theme: null, tall: true }, blocked: true },
    changed: { user_metadata: { size: 2, tall: true }, app_metadata: { plan: 'gold' }, blocked: true },
    list: { per_page: 1 },
    gone: missing('The user does not exist.', 'inexistent_user'),
  });
  const user = await api.users.create(create);
  has(user.identities[0], { connection: create.connection, provider: 'auth0', isSocial: false });
  assert.deepEqual((await api.users.listUsersByEmail({ email: create.email })).map((u) => u.user_id), [user.user_id]);
  const permission = { resource_server_identifier: audience, permission_name: 'read:calls' };
  await api.users.permissions.create(user.user_id, { permissions: [permission] });
  has((await all(api.users.permissions.list(user.user_id)))[0], permission);
  await api.users.permissions.delete(user.user_id, { permissions: [permission] });
  assert.deepEqual(await all(api.users.permissions.list(user.user_id)), []);
  assert.deepEqual((await api.userBlocks.list(user.user_id)).blocked_for, []);
  assert.deepEqual(await all(api.users.sessions.list(user.user_id)), []);
  assert.deepEqual(await all(api.users.refreshToken.list(user.user_id)), []);
  await api.users.delete(user.user_id);
});

await check('connections', async () => {
  await life({
    of: api.connections,
    create: { name: 'Staff', strategy: 'auth0', options: { requires_username: true, brute_force_protection: true } },
    created: { name: 'Staff', strategy: 'auth0', realms: ['Staff'], is_domain_connection: false },
    change: { display_name: 'Our staff' },
    changed: { name: 'Staff', display_name: 'Our staff' },
    list: { strategy: ['auth0'], take: 1 },
    gone: missing('The connection does not exist', 'inexistent_connection'),
  });
  const conn = await api.connections.create({ name: 'Staff', strategy: 'auth0' });
  await api.connections.update(conn.id, { options: { requires_username: true } });
  assert.equal((await api.connections.get(conn.id)).options.requires_username, true);
  await api.connections.update(conn.id, { options: { disable_signup: true } });
  assert.equal((await api.connections.get(conn.id)).options.requires_username, undefined, 'options are replaced whole');
  await api.connections.clients.update(conn.id, [{ client_id: clientId, status: true }]);
  assert.deepEqual((await all(api.connections.clients.get(conn.id))).map((c) => c.client_id), [clientId]);
  await api.connections.clients.update(conn.id, [{ client_id: clientId, status: false }]);
  assert.deepEqual(await all(api.connections.clients.get(conn.id)), []);
  await api.connections.delete(conn.id);
});

await check('organizations', async () => {
  await life({
    of: api.organizations,
    create: { name: 'red', display_name: 'Red', metadata: { a: '1', b: '2' } },
    created: { name: 'red', display_name: 'Red', metadata: { a: '1', b: '2' } },
    change: { metadata: { c: '3' } },
    changed: { name: 'red', display_name: 'Red', metadata: { c: '3' } },
    list: { take: 1 },
    gone: missing('No organization found by that id or name'),
  });
  const org = await api.organizations.create({ name: 'blue' });
  assert.equal((await api.organizations.getByName('blue')).id, org.id);
  const user = (await all(api.users.list({ q: 'email:"agent@example.com"' })))[0];
  const role = await api.roles.create({ name: 'lead' });
  const conn = await api.connections.create({ name: 'Blue', strategy: 'auth0' });
  await api.organizations.members.create(org.id, { members: [user.user_id] });
  assert.deepEqual((await all(api.organizations.members.list(org.id))).map((m) => m.email), ['agent@example.com']);
  await api.organizations.members.roles.assign(org.id, user.user_id, { roles: [role.id] });
  assert.deepEqual((await all(api.organizations.members.roles.list(org.id, user.user_id))).map((r) => r.name), ['lead']);
  await api.organizations.enabledConnections.add(org.id, { connection_id: conn.id, assign_membership_on_login: true });
  await api.organizations.enabledConnections.update(org.id, conn.id, { show_as_button: false });
  has(await api.organizations.enabledConnections.get(org.id, conn.id), { connection_id: conn.id, assign_membership_on_login: true, show_as_button: false });
  const app = await api.clients.create({ name: 'Of organizations', app_type: 'regular_web', organization_usage: 'allow', initiate_login_uri: 'https://a.example.com/login' });
  const invitation = await api.organizations.invitations.create(org.id, { inviter: { name: 'Ann' }, invitee: { email: 'new@example.com' }, client_id: app.client_id });
  assert.match(invitation.invitation_url, /invitation=/);
  assert.deepEqual((await all(api.organizations.invitations.list(org.id))).map((i) => i.id), [invitation.id]);
  await api.organizations.invitations.delete(org.id, invitation.id);
  await api.organizations.enabledConnections.delete(org.id, conn.id);
  await api.organizations.members.delete(org.id, { members: [user.user_id] });
  assert.deepEqual([await all(api.organizations.members.list(org.id)), await all(api.organizations.enabledConnections.list(org.id))], [[], []]);
  await api.organizations.delete(org.id);
  await api.clients.delete(app.client_id);
  await api.connections.delete(conn.id);
  await api.roles.delete(role.id);
});

await check('actions', async () => {
  const trigger = { id: 'post-login', version: 'v3' };
  await life({
    of: api.actions,
    create: { name: 'Claims', supported_triggers: [trigger], code: 'exports.onExecutePostLogin = async () => {};', runtime: 'node22', secrets: [{ name: 'KEY', value: 'hidden' }] },
    created: { name: 'Claims', status: 'pending', all_changes_deployed: false },
    same: false, // a read says built
    change: { code: 'exports.onExecutePostLogin = async () => { };' },
    changed: { name: 'Claims', all_changes_deployed: false },
    list: { actionName: 'Claims' },
    gone: missing('That action does not exist.'),
  });
  const action = await api.actions.create({ name: 'Bound', supported_triggers: [trigger], code: '', secrets: [{ name: 'KEY', value: 'hidden' }] });
  const read = await api.actions.get(action.id);
  assert.equal(read.status, 'built');
  assert.equal(read.secrets[0].value, undefined);
  assert.equal((await api.actions.deploy(action.id)).number, 1);
  assert.equal((await api.actions.get(action.id)).all_changes_deployed, true);
  await api.actions.triggers.bindings.updateMany('post-login', { bindings: [{ ref: { type: 'action_id', value: action.id }, display_name: 'Bound' }] });
  assert.deepEqual((await all(api.actions.triggers.bindings.list('post-login'))).map((b) => b.action.id), [action.id]);
  await api.actions.triggers.bindings.updateMany('post-login', { bindings: [] });
  assert.ok((await api.actions.triggers.list()).triggers.some((t) => t.id === 'post-login'));
  await api.actions.delete(action.id);
});

await check('tenant settings', async () => {
  const before = await api.tenants.settings.get();
  has(await api.tenants.settings.update({ friendly_name: 'The SDK', session_lifetime: 24, flags: { disable_clickjack_protection_headers: true } }), { friendly_name: 'The SDK', session_lifetime: 24 });
  const after = await api.tenants.settings.get();
  assert.deepEqual(after.flags, { ...before.flags, disable_clickjack_protection_headers: true }, 'flags are merged');
  await api.tenants.settings.update({ friendly_name: before.friendly_name ?? '', session_lifetime: before.session_lifetime });
});

await check('logs', async () => {
  const page = await api.logs.list({ per_page: 5, include_totals: true });
  assert.equal(page.data.length, 5);
  assert.ok(page.response.total > 5);
  const [log] = page.data;
  has(await api.logs.get(log.log_id), { log_id: log.log_id, type: log.type, date: log.date });
});

await check('tickets', async () => {
  const user = (await all(api.users.list({ q: 'email:"guest@example.com"' })))[0];
  const { ticket } = await api.tickets.changePassword({ user_id: user.user_id, ttl_sec: 60 });
  assert.ok(ticket.startsWith(`https://${domain}/`), ticket);
  assert.match((await api.tickets.verifyEmail({ user_id: user.user_id })).ticket, /ticket=/);
  has(await api.jobs.verificationEmail.create({ user_id: user.user_id }), { type: 'verification_email', status: 'pending' });
});

await check('refusals', async () => {
  const machine = await api.clients.create({ name: 'Narrow', app_type: 'non_interactive' });
  await api.clientGrants.create({ client_id: machine.client_id, audience: management, scope: ['read:clients'] });
  const narrow = new ManagementClient({ domain, clientId: machine.client_id, clientSecret: machine.client_secret });
  const user = { connection: 'Username-Password-Authentication', email: 'agent@example.com', password: 'Passw0rd-of-it' };
  const conflict = (message, code) => ['ConflictError', 409, code, message];
  for (const [name, call, want] of [
    ['no token', () => new ManagementClient({ domain, token: '' }).clients.list(), ['BadRequestError', 400, 'Bearer', 'Bad HTTP authentication header format']],
    ['a forged token', () => new ManagementClient({ domain, token: 'a.b.c' }).clients.list(), ['UnauthorizedError', 401, undefined, 'Invalid token']],
    ['a missing scope', () => narrow.clients.delete(machine.client_id), ['ForbiddenError', 403, 'insufficient_scope', 'Insufficient scope, expected any of: delete:clients']],
    ['an unknown role', () => api.roles.get('rol_0000000000000000'), missing('The role does not exist.')],
    ['a second user', () => api.users.create(user), conflict('The user already exists.', 'auth0_idp_error')],
    ['a second connection', () => api.connections.create({ name: user.connection, strategy: 'auth0' }), conflict('A connection with the same name already exists')],
    ['a second grant', () => api.clientGrants.create({ client_id: machine.client_id, audience: management, scope: [] }), 409],
    ['an unknown member', () => api.roles.create({ name: 'x', colour: 'red' }), ['BadRequestError', 400, 'invalid_body', "Payload validation error: 'Additional properties not allowed: colour'."]],
    ['no name', () => api.clients.create({}), ['BadRequestError', 400, 'invalid_body', "Payload validation error: 'Missing required property: name'."]],
    ['a page of 1,000', () => api.clients.list({ per_page: 1000 }), ['BadRequestError', 400, 'invalid_query_string', "Query validation error: 'Value 1000 is greater than maximum 100' on property per_page ({description})."]],
  ]) {
    const got = await why(call);
    assert.deepEqual(typeof want === 'number' ? got[1] : got, want, name);
  }
  assert.deepEqual((await narrow.clients.get(machine.client_id)).client_secret, undefined, 'a secret without read:client_keys');
  await api.clients.delete(machine.client_id);
});

// The test logs in to this one.
const app = await api.clients.create({ name: 'App', app_type: 'regular_web', callbacks: [callback], token_endpoint_auth_method: 'client_secret_post' });
tell({ clientId: app.client_id, clientSecret: app.client_secret });
