// What a provider keeps, in the Postgres of its site: its keys, and whatever oidc-provider hands to an adapter.

import { randomBytes } from 'node:crypto';

import pg from 'pg';

import { newKeys } from './settings.mjs';

const TABLES = `
  create schema if not exists pgha_oidc;
  create table if not exists pgha_oidc.secrets (
    one boolean primary key default true check (one), content jsonb not null);
  create table if not exists pgha_oidc.kept (
    kind text not null, id text not null, content jsonb not null, expires_at timestamptz, primary key (kind, id))`;

// The longest that Postgres is waited for: whoever asks while it moves is to be told so, and not to hang.
const PATIENCE_MS = 1000;

export const open = (login) => {
  const pool = new pg.Pool({
    ...login,
    // As `sslmode=require`: PGO demands TLS, and the lab's authorities are made anew each time.
    ssl: { rejectUnauthorized: false },
    application_name: 'pgha-demo-provider',
    connectionTimeoutMillis: PATIENCE_MS,
    query_timeout: PATIENCE_MS,
    max: 8,
  });
  // A connection that breaks while nobody uses it would end the process otherwise; the next query opens another one.
  pool.on('error', (error) => console.error(`a connection is lost: ${error.message}`));
  return pool;
};

// A standby in recovery says `on`, and so does a primary that was told to take no writes.
export const takesWrites = async (pool) => {
  const { rows } = await pool.query(`select current_setting('transaction_read_only') as read_only`);
  return rows[0].read_only === 'off';
};

const kept = async (pool) => {
  const { rows } = await pool.query('select content from pgha_oidc.secrets');
  return rows[0]?.content;
};

// The keys as Postgres has them; the first provider that ever finds it empty makes them.
export const secrets = async (pool) => {
  await pool.query(TABLES);
  const found = await kept(pool);
  if (found) return found;
  const random = () => randomBytes(32).toString('base64url');
  const made = { keys: newKeys(), cookies: [random()], salt: random() };
  const insert = 'insert into pgha_oidc.secrets (content) values ($1) on conflict do nothing';
  await pool.query(insert, [JSON.stringify(made)]);
  return kept(pool);
};

const GOOD = '(expires_at is null or expires_at > now())';

// The interface is that of oidc-provider 9 (docs/README.md, "adapter").
export const adapter = (pool) =>
  class Adapter {
    constructor(kind) {
      this.kind = kind;
    }

    async upsert(id, content, expiresIn) {
      await pool.query(
        `insert into pgha_oidc.kept (kind, id, content, expires_at)
         values ($1, $2, $3, now() + make_interval(secs => $4))
         on conflict (kind, id) do update set content = excluded.content, expires_at = excluded.expires_at`,
        [this.kind, id, JSON.stringify(content), expiresIn ?? null],
      );
    }

    async one(where, value) {
      const text = `select content from pgha_oidc.kept where kind = $1 and ${where} = $2 and ${GOOD}`;
      const { rows } = await pool.query(text, [this.kind, value]);
      return rows[0]?.content;
    }

    find(id) {
      return this.one('id', id);
    }

    findByUid(uid) {
      return this.one(`content->>'uid'`, uid);
    }

    findByUserCode(userCode) {
      return this.one(`content->>'userCode'`, userCode);
    }

    async consume(id) {
      await pool.query(
        `update pgha_oidc.kept
         set content = content || jsonb_build_object('consumed', extract(epoch from now())::bigint)
         where kind = $1 and id = $2`,
        [this.kind, id],
      );
    }

    async destroy(id) {
      await pool.query('delete from pgha_oidc.kept where kind = $1 and id = $2', [this.kind, id]);
    }

    async revokeByGrantId(grantId) {
      await pool.query(`delete from pgha_oidc.kept where content->>'grantId' = $1`, [grantId]);
    }
  };
