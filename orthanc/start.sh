#!/usr/bin/env bash
# Run the PACS of `make peers` in the foreground: Orthanc with orthanc.json (its storage is
# .peers/pacs) and OHIF on it. Ends with Ctrl+C.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly launcher="$PWD/.peers/orthanc/orthanc"
readonly storage="$PWD/.peers/pacs"
readonly ohif="$PWD/.peers/ohif"
readonly python="${VENV:-.venv}/bin/python"

[[ -x $launcher ]] || {
    echo "no Orthanc in .peers/orthanc: run 'make peers'" >&2
    exit 1
}
mkdir -p "$storage"
sed -e "s|\"/usr/share/orthanc|\"$PWD/.peers/orthanc/root/usr/share/orthanc|" \
    -e "s|\"/var/lib/orthanc/db\"|\"$storage/db\"|" \
    orthanc/orthanc.json >"$storage/orthanc.json"

trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
"$python" orthanc/viewer.py --ohif "$ohif" --orthanc http://127.0.0.1:8042 --port 8043 &
TCP_NODELAY=1 "$launcher" "$storage/orthanc.json" &
echo "C-STORE to ORTHANC@127.0.0.1:4242, Orthanc on http://127.0.0.1:8042, OHIF on http://127.0.0.1:8043" >&2
wait -n # whichever ends first takes the other along
