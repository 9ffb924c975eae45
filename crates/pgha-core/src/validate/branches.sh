export LC_ALL=C
repository() { pgbackrest --stanza=db --repo="$number" --log-level-console=off --log-level-stderr=error "$@"; }
for number in $numbers; do
  ids=$(repository repo-ls archive/db --filter='^[0-9]+-[0-9]+$' 2>&1) || { printf 'pgha-failed %s\n' "${ids##*$'\n'}"; exit 1; }
  id=$(sort -t- -k2,2n <<< "$ids" | tail -n 1)
  newest=
  if [ -n "$id" ]; then
    files=$(repository repo-ls "archive/db/$id" --filter='^[0-9A-F]{8}\.history$' 2>&1) ||
      { printf 'pgha-failed %s\n' "${files##*$'\n'}"; exit 1; }
    newest=$(sort <<< "$files" | tail -n 1)
  fi
  same=
  if [ -n "$newest" ] && [ -f "$PGDATA/pg_wal/$newest" ]; then
    if repository repo-get "archive/db/$id/$newest" | cmp -s - "$PGDATA/pg_wal/$newest"; then same=yes; else same=no; fi
  fi
  printf 'pgha-branch repo%s %s %s\n' "$number" "${newest:--}" "${same:--}"
done
