#!/usr/bin/env bash
# Run the Orthanc of `make peers` with orthanc.json in the foreground; its storage is .peers/pacs.
# Ends with Ctrl+C.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly launcher="$PWD/.peers/orthanc/orthanc"
readonly storage="$PWD/.peers/pacs"

[[ -x $launcher ]] || {
    echo "no Orthanc in .peers/orthanc: run 'make peers'" >&2
    exit 1
}
mkdir -p "$storage"
sed -e "s|\"/usr/share/orthanc|\"$PWD/.peers/orthanc/root/usr/share/orthanc|" \
    -e "s|\"/var/lib/orthanc/db\"|\"$storage/db\"|" \
    orthanc/orthanc.json >"$storage/orthanc.json"
echo "C-STORE to ORTHANC@127.0.0.1:4242, browser on http://127.0.0.1:8042" >&2
TCP_NODELAY=1 exec "$launcher" "$storage/orthanc.json"
