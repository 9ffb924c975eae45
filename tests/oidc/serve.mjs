// The OpenID provider of one site, which keeps everything in the Postgres of that site and logs nobody in while that takes no writes.
// `/` is answered by the name of the site.

import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

import { Provider } from 'oidc-provider';

import { person, settings } from './settings.mjs';
import { adapter, open, secrets, takesWrites } from './store.mjs';

// A subject that follows from what Postgres keeps: another database would show as another subject.
const subject = (salt, account) => createHmac('sha256', salt).update(account).digest('base64url').slice(0, 16);

const make = async (issuer, pool) => {
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

// Serves at an address until the process ends; returns the port. `postgres` is what node-postgres takes.
export const serve = async ({ site, issuer, postgres }, host, port) => {
  const pool = open(postgres);

  // Made when the first user comes to a primary: a standby may not have the keys yet.
  let made;
  const handler = () => {
    made ??= make(issuer, pool).catch((error) => {
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
  const answer = async (request, response) => {
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

  const server = createServer(answer);
  server.listen(port, host);
  await once(server, 'listening');
  return server.address().port;
};
