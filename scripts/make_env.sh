#!/usr/bin/env bash
# Write .env for docker-compose.yml from .env.example, with random passwords, and the certificates of Redis. An existing
# .env is not changed.
set -euo pipefail
cd "$(dirname "$0")/.."
[ ! -e .env ] || { echo ".env exists already"; exit 0; }

random() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
data=$PWD/data
# As root, the container would run as root; use uid 1000, the image's user, instead.
user=$(id -u):$(id -g)
[ "$(id -u)" != 0 ] || user=1000:1000

mkdir -p data
scripts/make_certificates.sh certificates
[ "$(id -u)" != 0 ] || chown "$user" data
umask 077
sed -e "s|^REDIS_PASSWORD=.*|REDIS_PASSWORD=$(random)|" \
    -e "s|^POSTGRES_PASSWORD=.*|POSTGRES_PASSWORD=$(random)|" \
    -e "s|^CERTIFICATES=.*|CERTIFICATES='$PWD/certificates'|" \
    -e "s|^TVB_BATCH_DATA_DIR=.*|TVB_BATCH_DATA_DIR='$data'|" \
    -e "s|^TVB_BATCH_USER=.*|TVB_BATCH_USER=$user|" .env.example > .env
echo "Wrote .env. Next: docker compose up --build --detach --scale worker=4"
