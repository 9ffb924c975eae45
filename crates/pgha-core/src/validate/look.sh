export LC_ALL=C PGCONNECT_TIMEOUT=5 PGOPTIONS='-c statement_timeout=5000'
ask() { PGDATABASE="$1" psql -X -q -A -t -v ON_ERROR_STOP=1 -c "$2"; }
server_sql=$(cat <<'SQL'
select jsonb_build_object(
  'version', current_setting('server_version_num')::int,
  'preloadLibraries', current_setting('shared_preload_libraries'),
  'limits', (select jsonb_object_agg(name, setting::bigint) from pg_settings
    where name in ('max_connections', 'max_worker_processes', 'max_wal_senders', 'max_replication_slots',
      'max_prepared_transactions', 'max_locks_per_transaction')),
  'canRewind', current_setting('data_checksums') = 'on' or current_setting('wal_log_hints') = 'on',
  'synchronousStandbyNames', current_setting('synchronous_standby_names'),
  'replayPaused', case when pg_is_in_recovery() then pg_is_wal_replay_paused() end,
  'applyDelayMs', (select setting::bigint from pg_settings where name = 'recovery_min_apply_delay'),
  'recoveryTargets', (select coalesce(jsonb_agg(name), '[]') from pg_settings
    where name in ('recovery_target', 'recovery_target_lsn', 'recovery_target_name', 'recovery_target_time',
      'recovery_target_xid') and setting <> ''),
  'receiverStatus', (select status from pg_stat_wal_receiver),
  'slots', (select coalesce(jsonb_agg(jsonb_build_object('name', slot_name, 'isLogical', slot_type = 'logical',
    'isTemporary', temporary, 'walStatus', to_jsonb(s) ->> 'wal_status',
    'synced', (to_jsonb(s) ->> 'synced')::bool)), '[]') from pg_replication_slots s),
  'walsenders', (select coalesce(jsonb_agg(jsonb_build_object('applicationName', coalesce(application_name, ''),
    'state', coalesce(state, ''))), '[]') from pg_stat_replication),
  'segmentsToArchive', (select count(*) from pg_ls_archive_statusdir() where name like '%.ready'),
  'segmentSizeBytes', (select setting::bigint from pg_settings where name = 'wal_segment_size'),
  'oldestTransactionS', (select coalesce(extract(epoch from clock_timestamp() - min(xact_start))::bigint, 0)
    from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()),
  'preparedTransactions', (select count(*) from pg_prepared_xacts),
  'backupsRunning', (select count(*) from pg_stat_activity where application_name like 'pgBackRest [backup]%'),
  'extensionsOffered', (select coalesce(jsonb_agg(jsonb_build_object('name', e.name,
    'defaultVersion', e.default_version, 'versions', (select coalesce(jsonb_agg(v.version), '[]')
      from pg_available_extension_versions v where v.name = e.name))), '[]') from pg_available_extensions e))
SQL
)
database_sql=$(cat <<'SQL'
select jsonb_build_object(
  'name', d.datname,
  'collations', jsonb_build_array(jsonb_build_object('name', 'database default',
      'provider', case to_jsonb(d) ->> 'datlocprovider' when 'i' then 'icu' when 'b' then 'builtin' else 'libc' end,
      'recorded', to_jsonb(d) ->> 'datcollversion', 'actual', ACTUAL))
    || (select coalesce(jsonb_agg(jsonb_build_object('name', n.nspname || '.' || c.collname,
        'provider', case c.collprovider when 'i' then 'icu' when 'b' then 'builtin' else 'libc' end,
        'recorded', c.collversion, 'actual', pg_collation_actual_version(c.oid))), '[]')
      from pg_collation c join pg_namespace n on n.oid = c.collnamespace
      where c.collprovider <> 'd' and (c.oid >= 16384
        or exists (select from pg_attribute a where a.attcollation = c.oid and a.attrelid >= 16384)
        or exists (select from pg_index i where c.oid = any (i.indcollation) and i.indexrelid >= 16384))),
  'extensions', (select coalesce(jsonb_agg(jsonb_build_object('name', extname, 'version', extversion)), '[]')
    from pg_extension),
  'unloggedTables', (select coalesce(jsonb_agg(n.nspname || '.' || c.relname order by 1), '[]')
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relpersistence = 'u' and c.relkind in ('r', 'm', 'p')))
from pg_database d where d.datname = current_database()
SQL
)
version=$(ask postgres 'show server_version_num') || { printf 'pgha-failed %s\n' "$version"; exit 1; }
actual="(select pg_collation_actual_version(c.oid) from pg_collation c
  where c.collprovider = 'c' and c.collcollate = d.datcollate limit 1)"
if [ "$version" -ge 150000 ]; then actual='pg_database_collation_actual_version(d.oid)'; fi
told=$(ask postgres "$server_sql") || { printf 'pgha-failed %s\n' "$told"; exit 1; }
printf 'pgha-server %s\n' "$told"
databases=$(ask postgres 'select datname from pg_database where datallowconn and not datistemplate order by 1') || exit 1
while IFS= read -r database; do
  told=$(ask "$database" "${database_sql//ACTUAL/$actual}") || { printf 'pgha-failed %s\n' "$told"; exit 1; }
  printf 'pgha-database %s\n' "$told"
done <<< "$databases"
{
  grep -rhsi '^[[:space:]]*archive-push-queue-max' /etc/pgbackrest /etc/pgbackrest.conf
  env | grep '^PGBACKREST_ARCHIVE_PUSH_QUEUE_MAX='
  ask postgres 'show archive_command' | grep -o 'archive-push-queue-max[= ][^ ]*'
} | sort -u | sed 's/^/pgha-queue /'
if ! ask postgres 'show archive_command' | grep -q -e '--no-archive-async' && {
  grep -rhsi '^[[:space:]]*archive-async' /etc/pgbackrest /etc/pgbackrest.conf
  env | grep '^PGBACKREST_ARCHIVE_ASYNC='
} | grep -qi '=[[:space:]]*y'; then printf 'pgha-async yes\n'; fi
printf 'pgha-free %s\n' "$(df -Pk "$PGDATA" | awk 'NR == 2 { print $4 }')"
if [ -n "$peer_host" ]; then
  if pg_isready -q -t 3 -h "$peer_host" -p "$peer_port"; then printf 'pgha-peer yes\n'; else printf 'pgha-peer no\n'; fi
fi
printf 'pgha-clock %s\n' "$(date +%s)"
