#!/usr/bin/env bash
# Tests docker-compose.yml: starts 5 workers, submits a sweep from the host, kills two workers in the middle of a job,
# restarts Redis, and checks that every job is FINISHED and every file has the hash in its row. Wrong passwords, the
# default user and connections without TLS must be refused.
#
#   make check-compose
#
# Uses its own project name, passwords, ports and data directory, and removes them. Exits with 77 (skipped) without a
# Docker engine, with 1 after an error.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/${VENV:-.venv}/bin:$PATH
say() { printf '[%3ss] %s\n' "$SECONDS" "$*"; }
fail() { say "FAILED: $*"; exit 1; }

docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1 || { echo "skipped: no Docker engine answers here"; exit 77; }
command -v tvb-batch >/dev/null || { echo "tvb-batch is not installed; \`make check-compose\` does it" >&2; exit 1; }

# --- 1. a separate stack
work=$(mktemp -d)
free_port() { python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
random() { head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
export REDIS_PASSWORD=$(random) POSTGRES_PASSWORD=$(random) REDIS_PORT=$(free_port) POSTGRES_PORT=$(free_port)
# A short lease, so that the killed worker's job is returned soon.
export TVB_BATCH_DATA_DIR=$work/data TVB_BATCH_USER=$(id -u):$(id -g) TVB_BATCH_LEASE=15
[ "$(id -u)" != 0 ] || export TVB_BATCH_USER=1000:1000
export CERTIFICATES=$work/certificates
scripts/make_certificates.sh "$CERTIFICATES"
export TVB_BATCH_BROKER_URL=rediss://tvb:$REDIS_PASSWORD@127.0.0.1:$REDIS_PORT/0 TVB_BATCH_BROKER_CA_FILE=$CERTIFICATES/ca.pem
export TVB_BATCH_DATABASE_URL=postgresql://tvb:$POSTGRES_PASSWORD@127.0.0.1:$POSTGRES_PORT/tvb_batch
mkdir "$TVB_BATCH_DATA_DIR"
chmod 755 "$work"
[ "$(id -u)" != 0 ] || chown "$TVB_BATCH_USER" "$TVB_BATCH_DATA_DIR"

compose() { docker compose --project-name tvb-batch-check --env-file /dev/null "$@"; }
tear_down() {
  code=$?
  [ "$code" = 0 ] || compose logs --no-color --tail 40 2>/dev/null || :
  compose down --volumes --remove-orphans --timeout 5 >/dev/null 2>&1 || :
  rm -rf "$work"
}
trap tear_down EXIT
trap 'exit 130' INT TERM

say "building"
compose build --quiet
say "starting Redis, PostgreSQL and 5 workers"
compose up --detach --quiet-pull --scale worker=5 >/dev/null 2>&1 || { compose ps --all; fail "the stack did not come up"; }

# --- 2. a sweep from outside: 20 jobs of a few seconds each
cat > "$work/sweep.yaml" <<'SPEC'
name: compose_check
connectivity: connectivity_76.zip
model: {class: JansenRit}
coupling: {class: SigmoidalJansenRit}
integrator: {class: HeunStochastic, dt: 0.0625, noise: {class: Additive, nsig: [0, 0, 0, 5.0e-4, 0, 0]}}
monitors: [{class: TemporalAverage, period: 1.0}]
simulation_length: 500.0
engine: reference
sweep:
  coupling.a: [5.0, 10.0, 15.0, 20.0, 25.0]
  model.mu: {start: 0.0, stop: 0.2, num: 4}
SPEC
tvb-batch submit "$work/sweep.yaml"

# `count STATUS`: the number of jobs with this status.
jobs() { tvb-batch list compose_check --json; }
count() { jobs | python -c 'import json, sys; print(sum(job["status"] == sys.argv[1] for job in json.load(sys.stdin)))' "$1"; }
wait_for() {  # wait_for SECONDS STATUS NUMBER
  local deadline=$((SECONDS + $1))
  until [ "$(count "$2")" -ge "$3" ]; do
    [ "$(count ERROR)" = 0 ] || { jobs; fail "a job ended in ERROR"; }
    [ $SECONDS -lt $deadline ] || { jobs; fail "not $3 jobs $2 within $1 s"; }
    sleep 0.5
  done
}

# --- 3. kill two workers in the middle of a job, and Redis with its content
wait_for 180 STARTED 3
for victim in $(jobs | python -c '
import json, sys
started = [job for job in json.load(sys.stdin) if job["status"] == "STARTED"]
latest = sorted(started, key=lambda job: job["started_at"], reverse=True)
print(*list(dict.fromkeys(job["worker"].split(":")[0] for job in latest))[:2])'); do
  docker kill "$victim" >/dev/null
  say "killed worker $victim"
done
compose restart --timeout 1 redis >/dev/null 2>&1
say "restarted Redis"

# --- 4. every job FINISHED, also those of the killed workers
wait_for 400 FINISHED 20
say "20 jobs FINISHED"
python - <<'PYTHON' || fail "a killed worker's job was not started again"
import json, subprocess, sys

jobs = json.loads(subprocess.check_output(["tvb-batch", "list", "compose_check", "--json"]))
print(f"{'job':10}{'attempt':>8}{'seconds':>9}  {'worker':24}parameters")
for job in sorted(jobs, key=lambda job: job["number"]):
    values = " ".join(f"{name}={value:g}" for name, value in job["parameters"].items())
    print(f"{job['gid'][:8]:10}{job['attempt']:>8}{job['seconds']:>9.1f}  {job['worker']:24}{values}")
sys.exit(sum(job["attempt"] > 1 for job in jobs) < 2)
PYTHON

# --- 5. every file present with the hash in its row: rows from the database, hashes from a worker
compose exec -T postgres psql --username tvb --dbname tvb_batch --tuples-only --no-align \
  --command "SELECT sha256 || '  ' || path FROM output" > "$work/sha256"
[ "$(wc -l < "$work/sha256")" = 20 ] || fail "$(wc -l < "$work/sha256") outputs instead of 20"
compose exec -T worker sha256sum --check --quiet - < "$work/sha256" || fail "a file is missing or not what its row says"
left=$(find "$TVB_BATCH_DATA_DIR" -name '*.part')
[ -z "$left" ] || fail "left behind: $left"
found=$(find "$TVB_BATCH_DATA_DIR/outputs" -name '*.h5' | wc -l)
[ "$found" = 20 ] || fail "$found result files instead of 20"
say "20 files present, each with the hash its row names, and no other"
tvb-batch bundle compose_check --output "$work/check.zip" >/dev/null
say "bundle of $(du -k "$work/check.zip" | cut -f1) kB made on the host"
tvb-batch verify --all || fail "rows and files disagree"
refused() {  # refused WHAT VARIABLE=VALUE...: submitting with other settings gives one line and exit code 2
  local what=$1 said code=0; shift
  said=$(export "$@"; tvb-batch submit "$work/sweep.yaml" --no-reuse 2>&1) || code=$?
  [ "$code" = 2 ] && [ "$(wc -l <<< "$said")" = 1 ] || fail "Redis and $what: code $code, $said"
  say "refused, $what: ${said%% (*}"
}
refused "a wrong password" TVB_BATCH_BROKER_URL="rediss://tvb:wrong@127.0.0.1:$REDIS_PORT/0"
refused "no password" TVB_BATCH_BROKER_URL="rediss://127.0.0.1:$REDIS_PORT/0"
refused "the default user" TVB_BATCH_BROKER_URL="rediss://default:$REDIS_PASSWORD@127.0.0.1:$REDIS_PORT/0"
refused "no TLS" TVB_BATCH_BROKER_URL="redis://tvb:$REDIS_PASSWORD@127.0.0.1:$REDIS_PORT/0"
scripts/make_certificates.sh "$work/others"
refused "another authority" TVB_BATCH_BROKER_CA_FILE="$work/others/ca.pem"
! TVB_BATCH_DATABASE_URL=postgresql://tvb:wrong@127.0.0.1:$POSTGRES_PORT/tvb_batch tvb-batch sweeps >/dev/null 2>&1 ||
  fail "PostgreSQL took a wrong password"
say "PostgreSQL refuses a wrong password"
say "passed"
