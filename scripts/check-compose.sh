#!/usr/bin/env bash
# Brings the containers up with three workers, submits a sweep from outside, kills one worker, and expects every job
# FINISHED and every file there and whole. Needs a Docker engine with Compose, and tvb-batch[postgres] in TVB_BATCH
# (default .venv/bin/tvb-batch). Exits 77 where there is no engine.
set -euo pipefail
cd "$(dirname "$0")/.."
tvb_batch=${TVB_BATCH:-.venv/bin/tvb-batch}
docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1 || { echo "no Docker engine: skipped"; exit 77; }

work=$(mktemp -d)
export COMPOSE_PROJECT_NAME=tvb-batch-check REDIS_PASSWORD=check-redis POSTGRES_PASSWORD=check-postgres
export REDIS_PORT=16379 POSTGRES_PORT=15432 TVB_BATCH_LEASE=10
stop() { docker compose logs --no-color > "$work/compose.log" 2>&1 || :; docker compose down --volumes --timeout 20 >/dev/null 2>&1 || :; }
trap 'code=$?; stop; [ $code = 0 ] || tail -60 "$work/compose.log" >&2; rm -rf "$work"; exit $code' EXIT

say() { printf '[%3ss] %s\n' "$SECONDS" "$*"; }

say "build and start: redis, postgres, migrate, 3 workers"
docker compose build --quiet
docker compose up --detach --scale worker=3 --quiet-pull >/dev/null

# From outside: no shared directory is mounted here, only the two published ports are used.
export TVB_BATCH_BROKER_URL=redis://:$REDIS_PASSWORD@127.0.0.1:$REDIS_PORT/0
export TVB_BATCH_DATABASE_URL=postgresql://tvb:$POSTGRES_PASSWORD@127.0.0.1:$POSTGRES_PORT/tvb
export TVB_BATCH_DATA_DIR=$work/data
cat > "$work/sweep.yaml" <<Y
name: check
model: {class: JansenRit}
coupling: {class: SigmoidalJansenRit}
integrator: {class: HeunStochastic, dt: 0.0625, noise: {class: Additive, nsig: [0, 0, 0, 0.0005, 0, 0]}}
monitors: [{class: TemporalAverage, period: 0.25}]
simulation_length: 500.0
sweep:
  coupling.a: {start: 1.0, stop: 10.0, num: 6}
  model.mu: {start: 0.0, stop: 0.2, num: 3}
Y
say "$("$tvb_batch" submit "$work/sweep.yaml")"

count() { "$tvb_batch" list check --json --limit 1000 | python3 -c 'import json, sys; print(sum(job["status"] == sys.argv[1] for job in json.load(sys.stdin)))' "$1"; }
until [ "$(count STARTED)" -ge 3 ]; do sleep 0.5; [ $SECONDS -lt 600 ] || { echo "no three workers started"; exit 1; }; done
victim=$(docker compose ps --quiet worker | head -1)
docker kill "$victim" >/dev/null
say "killed worker ${victim:0:12}"

"$tvb_batch" watch check || exit 1
"$tvb_batch" list check --json --limit 1000 > "$work/jobs.json"
python3 - "$work/jobs.json" <<'P'
import collections, json, sys
jobs = json.load(open(sys.argv[1]))
print(dict(collections.Counter(job["status"] for job in jobs)), "attempts", dict(collections.Counter(job["attempt"] for job in jobs)))
assert len(jobs) == 18 and all(job["status"] == "FINISHED" for job in jobs)
assert max(job["attempt"] for job in jobs) > 1, "the killed worker had no job"
assert len({job["worker"].split(":")[0] for job in jobs}) >= 2
P
say "every job FINISHED"

# The rows' checksums against the files, inside, where the volume is mounted.
python3 - "$work/jobs.json" <<'P' > "$work/gids"
import json, sys
print(*[job["gid"] for job in json.load(open(sys.argv[1]))], sep="\n")
P
while read -r gid; do
  "$tvb_batch" show "$gid" --json | python3 -c '
import json, sys
for output in json.load(sys.stdin)["outputs"]:
    print(output["sha256"], " /data/outputs/" + output["file"].split("/outputs/")[1])'
done < "$work/gids" > "$work/sums"
[ "$(wc -l < "$work/sums")" = 18 ]
docker compose exec -T worker sha256sum --check --quiet < "$work/sums"
[ "$(docker compose exec -T worker find /data/outputs -type f | wc -l)" = 18 ]
say "18 files there and whole"

docker compose exec -T worker tvb-batch bundle check -o /data/check.zip | head -1
[ "$(docker compose exec -T worker id -u)" != 0 ]
for wrong in "TVB_BATCH_BROKER_URL=redis://:wrong@127.0.0.1:$REDIS_PORT/0" \
             "TVB_BATCH_DATABASE_URL=postgresql://tvb:wrong@127.0.0.1:$POSTGRES_PORT/tvb"; do
  ! env "$wrong" "$tvb_batch" submit "$work/sweep.yaml" 2> "$work/refused" || { echo "a wrong password was taken"; exit 1; }
  say "refused: $(cat "$work/refused")"
done
say "passed"
