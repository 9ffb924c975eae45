// The provider of `serve.mjs` in a pod: its environment says SITE, ISSUER, DATABASE_URI and PORT, and it serves until SIGTERM.

import { serve } from './serve.mjs';

const { SITE, ISSUER, DATABASE_URI, PORT } = process.env;
// The first process of a container has no default action for it.
process.once('SIGTERM', () => process.exit(0));
await serve({ site: SITE, issuer: ISSUER, postgres: { connectionString: DATABASE_URI } }, '0.0.0.0', Number(PORT));
