#!/usr/bin/env bash
# make_certificates.sh DIRECTORY [HOST...]: create a certificate authority and Redis' certificate, valid for ten years, in
# ca.pem, redis.pem and redis.key. HOST is the name of this machine for others. The authority's key is deleted; for
# another certificate, create both again.
set -euo pipefail
command -v openssl >/dev/null || { echo "openssl is missing; it makes Redis' certificate" >&2; exit 1; }
names=$(printf ',DNS:%s' "${@:2}")
[ $# -gt 1 ] || names=
mkdir -p "$1"
# Other users of this host cannot enter the directory; in a container Redis' own user reads the files.
chmod 700 "$1"
cd "$1"
umask 022
new=(openssl req -newkey rsa:2048 -nodes -sha256)
"${new[@]}" -x509 -days 3650 -subj "/CN=tvb-batch authority" -keyout ca.key -out ca.pem 2>/dev/null
"${new[@]}" -subj "/CN=redis" -keyout redis.key -out redis.csr 2>/dev/null
printf 'subjectAltName=DNS:redis,DNS:localhost,IP:127.0.0.1%s\n' "$names" > redis.ext
openssl x509 -req -days 3650 -sha256 -in redis.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile redis.ext \
  -out redis.pem 2>/dev/null
chmod 644 redis.key
rm -f ca.key ca.srl redis.csr redis.ext
