// The provider of `serve.mjs` as a program beside the lab.
// The first line of its standard input is JSON:
//   {"site", "issuer", "postgres": {"host", "port", "user", "password", "database"}}
// It prints {"port"}, the loopback port for the proxy at `issuer`, and serves until its standard input ends.

import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { serve } from './serve.mjs';

const lines = createInterface({ input: process.stdin });
const [line] = await once(lines, 'line');
console.log(JSON.stringify({ port: await serve(JSON.parse(line), '127.0.0.1', 0) }));
await once(lines, 'close');
process.exit(0);
