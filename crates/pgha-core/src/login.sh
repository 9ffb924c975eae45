# Reads a line `SECONDS COUNT`, then for each login a line `HOST PORT DATABASE USER PASSWORD`, the last three in base64.
# Tries each until it works or the time is over, and prints `pgha-login NUMBER ok` or `pgha-login NUMBER failed TEXT`.
# A password is never an argument of a process, nor in a file.
read -r seconds count
open=()
for ((number = 0; number < count; number++)); do
  read -r "host[number]" "port[number]" "database[number]" "user[number]" "password[number]"
  open+=("$number")
done

decoded() { printf %s "$1" | base64 -d; }

attempt() {
  export PGHOST=${host[$1]} PGPORT=${port[$1]} PGSSLMODE=require PGCONNECT_TIMEOUT=5 PGAPPNAME=pgha
  PGDATABASE=$(decoded "${database[$1]}") PGUSER=$(decoded "${user[$1]}") PGPASSWORD=$(decoded "${password[$1]}")
  export PGDATABASE PGUSER PGPASSWORD
  timeout 5 psql -X -q -A -t -w -c 'select txid_current() > 0, pg_is_in_recovery()' </dev/null 2>&1
}

while :; do
  left=()
  for number in "${open[@]}"; do
    said=$(attempt "$number")
    if [[ $said == 't|f' ]]; then
      printf 'pgha-login %d ok\n' "$number"
    else
      why[number]=${said##*$'\n'}
      left+=("$number")
    fi
  done
  open=("${left[@]}")
  ((${#open[@]} == 0 || SECONDS >= seconds)) && break
  sleep 0.2
done
for number in "${open[@]}"; do
  printf 'pgha-login %d failed %s\n' "$number" "${why[number]:-it did not answer}"
done
