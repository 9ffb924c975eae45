// The person of `person.mjs` alone: does what each line of its standard input says, until that ends.

import { obey } from './person.mjs';

await obey(process.stdin);
process.exit(0);
