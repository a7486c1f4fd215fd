#!/usr/bin/env bash
# audit.sh PYTHON: check the pinned dependencies for known vulnerabilities, with pip-audit in a separate environment.
# Exits with 1 if there is one, with 77 (skipped) if the public list does not answer.
set -euo pipefail
cd "$(dirname "$0")/.."
skipped() { echo "not audited: $1"; exit 77; }

rm -rf build/audit
"$1" -m venv build/audit
build/audit/bin/pip install --quiet --disable-pip-version-check pip-audit 2>/dev/null || skipped "pip-audit cannot be installed"
build/audit/bin/pip-audit --no-deps --disable-pip --progress-spinner off --format json --requirement constraints.txt \
  > build/audit/found.json 2>/dev/null || [ -s build/audit/found.json ] || skipped "the list of known faults does not answer"
build/audit/bin/python - build/audit/found.json <<'PYTHON'
import json, sys

found = json.load(open(sys.argv[1]))["dependencies"]
known = [one for one in found if "skip_reason" not in one]
for one in known:
    for fault in one["vulns"]:
        print(f"{one['name']} {one['version']}: {fault['id']}, mended in {', '.join(fault['fix_versions']) or 'no version'}")
print(f"{len(known)} of {len(found)} pinned dependencies were in the list of known faults")
sys.exit(1 if any(one["vulns"] for one in known) else 0 if known else 77)
PYTHON
