// What every provider here says of its client and its accounts.

import { generateKeyPairSync } from 'node:crypto';

export const CLIENT = 'kubectl';
export const CALLBACK = 'http://127.0.0.1:9/callback';

const key = (type, options, alg) => {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig' };
};

export const newKeys = () => [
  key('rsa', { modulusLength: 2048 }, 'RS256'),
  key('ec', { namedCurve: 'P-256' }, 'ES256'),
];

export const person = {
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
};

export const settings = (keys, cookies, more) => ({
  jwks: { keys },
  cookies: { keys: cookies },
  claims: { openid: ['sub'], email: ['email'], groups: ['groups'] },
  conformIdTokenClaims: false,
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.org`, groups: ['prod-admin', 'dev'] }),
  }),
  ...more,
});
