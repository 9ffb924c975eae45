// A person with a browser, who logs in at a provider: by code with PKCE, by device.
// `obey` has them do what each line of a stream says, and answers it by a line, `done` or `failed: …`:
//   browser URL   logs in and consents there, and follows the answer to the address of this machine
//   refuse URL    goes there and gives up
//   device CODE   types the code and confirms it

import { createHash, randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';

import { CALLBACK, CLIENT } from './settings.mjs';

const SCOPE = 'openid email groups offline_access';

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

const post = async (issuer, path, form) => {
  const body = new URLSearchParams({ client_id: CLIENT, ...form });
  const answer = await fetch(`${issuer}${path}`, { method: 'POST', body });
  const result = await answer.json();
  if (!answer.ok) throw new Error(`${path}: ${result.error}`);
  return result;
};

export const byCode = async (issuer) => {
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
  return post(issuer, '/token', { grant_type: 'authorization_code', ...form });
};

export const byRefresh = (issuer, refresh_token) =>
  post(issuer, '/token', { grant_type: 'refresh_token', refresh_token });

const typeCode = async (issuer, user_code) => {
  const page = await visit(`${issuer}/device?user_code=${user_code}`);
  const xsrf = page.text.match(/name="xsrf" value="(\w+)"/)[1];
  return pass(await visit(`${issuer}/device`, { xsrf, user_code, confirm: 'yes' }));
};

export const byDevice = async (issuer) => {
  const asked = await post(issuer, '/device/auth', { scope: SCOPE });
  await typeCode(issuer, asked.user_code);
  const grant_type = 'urn:ietf:params:oauth:grant-type:device_code';
  return post(issuer, '/token', { grant_type, device_code: asked.device_code });
};

const arrive = async (page) => {
  if (!isCallback(page.url)) throw new Error(`stranded at ${page.url}: ${page.text.slice(0, 200)}`);
  return fetch(page.url);
};

const deeds = (issuer) => ({
  browser: async (url) => arrive(await pass(await visit(url))),
  refuse: async (url) => {
    const page = await visit(url);
    const abort = page.text.match(/href="([^"]+\/abort)"/)[1];
    return arrive(await visit(new URL(abort, page.url).href));
  },
  device: (code) => typeCode(issuer, code),
});

export const obey = async (input, issuer) => {
  const known = deeds(issuer);
  for await (const line of createInterface({ input })) {
    const [verb, what] = line.split(' ');
    try {
      await known[verb](what);
      console.log('done');
    } catch (error) {
      console.log(`failed: ${String(error).replaceAll('\n', ' ')}`);
    }
  }
};
