// A real OpenID provider on a loopback port, and a person who logs in at it: by code with PKCE, by refresh, by device.
// Prints one line of JSON and then serves until its standard input ends:
//   {"issuer", "client_id", "code", "refreshed", "device"}, the last three ID tokens.
// Each line of its standard input has the person do something (`person.mjs`).

import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

import { Provider } from 'oidc-provider';

import { byCode, byDevice, byRefresh, obey } from './person.mjs';
import { CLIENT, newKeys, person, settings } from './settings.mjs';

const robot = {
  client_id: 'robot',
  client_secret: 'hunter2',
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
};

const server = createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

const more = {
  clients: [person, robot],
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    devInteractions: { enabled: true },
  },
};
const provider = new Provider(issuer, settings(newKeys(), [randomBytes(16).toString('hex')], more));
server.on('request', provider.callback());

const first = await byCode(issuer);
const renewed = await byRefresh(issuer, first.refresh_token);
const device = await byDevice(issuer);
console.log(
  JSON.stringify({
    issuer,
    client_id: CLIENT,
    code: first.id_token,
    refreshed: renewed.id_token,
    device: device.id_token,
  }),
);

await obey(process.stdin, issuer);
process.exit(0);
