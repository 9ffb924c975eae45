// The OpenID provider of one site, which keeps everything in the Postgres of that site and logs nobody in while that takes no writes.
// The first line of its standard input is JSON:
//   {"site", "issuer", "postgres": {"host", "port", "user", "password", "database"}}
// It prints {"port"}, the loopback port for the proxy at `issuer`, and serves until its standard input ends.
// `/` is answered by the name of the site.

import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

import { Provider } from 'oidc-provider';

import { person, settings } from './settings.mjs';
import { adapter, open, secrets, takesWrites } from './store.mjs';

const lines = createInterface({ input: process.stdin });
const [line] = await once(lines, 'line');
const { site, issuer, postgres } = JSON.parse(line);
const pool = open(postgres);

// A subject that follows from what Postgres keeps: another database would show as another subject.
const subject = (salt, account) => createHmac('sha256', salt).update(account).digest('base64url').slice(0, 16);

const make = async () => {
  const { keys, cookies, salt } = await secrets(pool);
  const more = {
    adapter: adapter(pool),
    clients: [{ ...person, grant_types: ['authorization_code'], subject_type: 'pairwise' }],
    features: { devInteractions: { enabled: true } },
    subjectTypes: ['pairwise'],
    pairwiseIdentifier: (_, account) => subject(salt, account),
  };
  const provider = new Provider(issuer, settings(keys, cookies, more));
  provider.proxy = true;
  provider.on('server_error', (_, error) => console.error(error));
  return provider.callback();
};

// Made when the first user comes to a primary: a standby may not have the keys yet.
let made;
const handler = () => {
  made ??= make().catch((error) => {
    made = undefined;
    throw error;
  });
  return made;
};

const decline = (response, why) => {
  response.writeHead(503, { 'content-type': 'text/plain' });
  response.end(`nobody can log in at ${site}: ${why}\n`);
};

// Only who can log people in says which site it is: a probe believes that.
const serve = async (request, response) => {
  try {
    if (!(await takesWrites(pool))) return decline(response, 'its Postgres takes no writes');
    const handle = await handler();
    response.setHeader('x-site', site);
    return request.url === '/' ? response.end(site) : await handle(request, response);
  } catch (error) {
    console.error(error.message);
    return decline(response, 'its Postgres does not answer');
  }
};

const server = createServer(serve);
server.listen(0, '127.0.0.1');
await once(server, 'listening');
console.log(JSON.stringify({ port: server.address().port }));
await once(lines, 'close');
process.exit(0);
