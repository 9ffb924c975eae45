// A real OpenID provider on a loopback port, and a person who logs in at it: by code with PKCE, by refresh, by device.
// Prints one line of JSON and then serves until its standard input ends:
//   {"issuer", "client_id", "code", "refreshed", "device"}, the last three ID tokens.
// Each line of its standard input has a person do something, and is answered by a line:
//   browser URL   logs in and consents there, and follows the answer to the address of this machine
//   refuse URL    goes there and gives up
//   device CODE   types the code and confirms it

import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

import { Provider } from 'oidc-provider';

const CLIENT = 'kubectl';
const CALLBACK = 'http://127.0.0.1:9/callback';
const SCOPE = 'openid email groups offline_access';

const key = (type, options, alg) => {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig' };
};

const server = createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: CLIENT,
      token_endpoint_auth_method: 'none',
      application_type: 'native',
      redirect_uris: [CALLBACK],
      grant_types: [
        'authorization_code',
        'refresh_token',
        'urn:ietf:params:oauth:grant-type:device_code',
      ],
      require_auth_time: true,
    },
    {
      client_id: 'robot',
      client_secret: 'hunter2',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    },
  ],
  jwks: {
    keys: [key('rsa', { modulusLength: 2048 }, 'RS256'), key('ec', { namedCurve: 'P-256' }, 'ES256')],
  },
  cookies: { keys: [randomBytes(16).toString('hex')] },
  claims: { openid: ['sub'], email: ['email'], groups: ['groups'] },
  conformIdTokenClaims: false,
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    devInteractions: { enabled: true },
  },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.org`, groups: ['prod-admin', 'dev'] }),
  }),
});
server.on('request', provider.callback());

// What a browser does: cookies are kept, and redirects are followed as far as the callback.
const jar = new Map();
const visit = async (url, form) => {
  const headers = { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') };
  const options = form
    ? { method: 'POST', body: new URLSearchParams(form), headers, redirect: 'manual' }
    : { headers, redirect: 'manual' };
  const answer = await fetch(url, options);
  for (const cookie of answer.headers.getSetCookie()) {
    const [name, value] = cookie.split(';')[0].split(/=(.*)/s);
    if (value) jar.set(name, value);
    else jar.delete(name);
  }
  const location = answer.headers.get('location');
  if (!location) return { url, text: await answer.text() };
  const next = new URL(location, url).href;
  return isCallback(next) ? { url: next, text: '' } : visit(next);
};

// A native client may listen at any port of this machine (RFC 8252, section 7.3).
const isCallback = (url) => {
  const { hostname, pathname } = new URL(url);
  return hostname === '127.0.0.1' && pathname === '/callback';
};

const action = (page) => page.text.match(/action="([^"]+)"/)[1].replaceAll('&amp;', '&');

// Logs in and consents, wherever the pages ask for it.
const pass = async (page) => {
  let at = page;
  while (/name="prompt" value="(login|consent)"/.test(at.text)) {
    const prompt = at.text.match(/name="prompt" value="(\w+)"/)[1];
    at = await visit(new URL(action(at), at.url).href, { prompt, login: 'jane', password: 'any' });
  }
  return at;
};

const post = async (path, form) => {
  const body = new URLSearchParams({ client_id: CLIENT, ...form });
  const answer = await fetch(`${issuer}${path}`, { method: 'POST', body });
  const result = await answer.json();
  if (!answer.ok) throw new Error(`${path}: ${result.error}`);
  return result;
};

const byCode = async () => {
  const verifier = randomBytes(32).toString('base64url');
  const challenge = createHash('sha256').update(verifier).digest('base64url');
  const query = new URLSearchParams({
    client_id: CLIENT,
    response_type: 'code',
    redirect_uri: CALLBACK,
    scope: SCOPE,
    prompt: 'consent',
    state: 's',
    nonce: 'n',
    code_challenge: challenge,
    code_challenge_method: 'S256',
  });
  const { url } = await pass(await visit(`${issuer}/auth?${query}`));
  const code = new URL(url).searchParams.get('code');
  const form = { code, code_verifier: verifier, redirect_uri: CALLBACK };
  return post('/token', { grant_type: 'authorization_code', ...form });
};

const typeCode = async (user_code) => {
  const page = await visit(`${issuer}/device?user_code=${user_code}`);
  const xsrf = page.text.match(/name="xsrf" value="(\w+)"/)[1];
  return pass(await visit(`${issuer}/device`, { xsrf, user_code, confirm: 'yes' }));
};

const byDevice = async () => {
  const asked = await post('/device/auth', { scope: SCOPE });
  await typeCode(asked.user_code);
  const grant_type = 'urn:ietf:params:oauth:grant-type:device_code';
  return post('/token', { grant_type, device_code: asked.device_code });
};

const first = await byCode();
const renewed = await post('/token', {
  grant_type: 'refresh_token',
  refresh_token: first.refresh_token,
});
const device = await byDevice();
console.log(
  JSON.stringify({
    issuer,
    client_id: CLIENT,
    code: first.id_token,
    refreshed: renewed.id_token,
    device: device.id_token,
  }),
);

const deeds = {
  browser: async (url) => fetch((await pass(await visit(url))).url),
  refuse: async (url) => {
    const page = await visit(url);
    const abort = page.text.match(/href="([^"]+\/abort)"/)[1];
    return fetch((await visit(new URL(abort, page.url).href)).url);
  },
  device: typeCode,
};
for await (const line of createInterface({ input: process.stdin })) {
  const [verb, what] = line.split(' ');
  try {
    await deeds[verb](what);
    console.log('done');
  } catch (error) {
    console.log(`failed: ${error}`);
  }
}
process.exit(0);
