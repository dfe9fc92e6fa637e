// Tenant files of auth0-deploy-cli, read as it reads them: makes the copy of a file that it
// can import and gets a token for the import, or compares two files.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { settings, tell } from './dialogue.mjs';

const yaml = createRequire(import.meta.resolve('auth0-deploy-cli'))('js-yaml');
const read = (path) => yaml.load(readFileSync(path, 'utf8'));

// importable leaves out what the schema of the tool refuses, and what a tenant does not
// take from the tool: ids, secrets and members.
function importable(tenant) {
  const { users, 'x-actions': actions, ...rest } = tenant;
  return {
    ...rest,
    clients: tenant.clients.map(({ client_id, client_secret, ...client }) => client),
    organizations: tenant.organizations.map(({ members, ...organization }) => organization),
  };
}

const isObject = (v) => typeof v === 'object' && v !== null && !Array.isArray(v);
const nameOf = (o) => o.audience ? `${o.client_id} ${o.audience}` : o.permission_name ?? o.identifier ?? o.name ?? o.value;

// byName makes objects of lists of objects, whose order has no meaning.
function byName(v) {
  if (!Array.isArray(v)) return v;
  if (v.length > 0 && v.every(isObject)) return Object.fromEntries(v.map((o) => [nameOf(o), o]));
  return v;
}

// compare collects the differences of two values. In their paths the name of an object of
// a list is *.
function compare(path, want, got, out) {
  const list = Array.isArray(want) || Array.isArray(got);
  [want, got] = [byName(want), byName(got)];
  if (isObject(want) && isObject(got)) {
    for (const name of new Set([...Object.keys(want), ...Object.keys(got)])) {
      const at = list ? `${path}[*]` : path === '' ? name : `${path}.${name}`;
      if (!(name in got)) out.lost.add(list ? `${path}[${name}]` : at);
      else if (!(name in want)) out.added.add(list ? `${path}[${name}]` : `${at}: ${JSON.stringify(got[name])}`);
      else compare(at, want[name], got[name], out);
    }
    return;
  }
  if (path.endsWith('enabled_clients')) [want, got] = [want.toSorted(), got.toSorted()]; // the tool sorts them
  if (JSON.stringify(want) !== JSON.stringify(got)) out.changed.add(`${path}: ${JSON.stringify(want)} → ${JSON.stringify(got)}`);
}

if (settings.copy) {
  writeFileSync(settings.to, JSON.stringify(importable(read(settings.copy)))); // JSON is YAML
  const { domain, client_id, client_secret } = settings;
  const body = new URLSearchParams({ grant_type: 'client_credentials', client_id, client_secret, audience: `https://${domain}/api/v2/` });
  tell((await (await fetch(`https://${domain}/oauth/token`, { method: 'POST', body })).json()).access_token);
}
if (settings.want) {
  const out = { lost: new Set(), added: new Set(), changed: new Set() };
  compare('', read(settings.want), read(settings.got), out);
  tell(Object.fromEntries(Object.entries(out).map(([kind, set]) => [kind, [...set].sort()])));
}
