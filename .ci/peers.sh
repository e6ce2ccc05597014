#!/usr/bin/env bash
# Install the peers of the tests on Debian or Ubuntu: dcmtk, dicom3tools, PostgreSQL, Chromium, an
# Orthanc 1.12 in .peers/orthanc and an OHIF 3.12 in .peers/ohif. Orthanc is unpacked into a folder
# of its own (nothing of it is installed on the host), because Debian 12 has 1.10, which knows no
# labels. Quick when everything is there.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly orthanc_release=trixie
readonly orthanc_packages=(orthanc orthanc-dicomweb orthanc-gdcm libc6)
readonly host_packages=(dcmtk dicom3tools postgresql chromium)
readonly keyring=/usr/share/keyrings/debian-archive-keyring.gpg
readonly prefix="$PWD/.peers/orthanc"
# 3.13.2 shows a segmentation garbled where rows x columns is no multiple of 8.
readonly ohif_release=3.12.10
readonly ohif_sha512=d24b85eba32af5cf5d303fbe6d4b138ccac9a57270699873f41e2e4b6e380dac008d2913c0860553dde9c4fb915108b16918bb4001e517715ed6ab9d06566b98
readonly ohif="$PWD/.peers/ohif"

say() { echo "peers: $*" >&2; }

as_root() {
    if [[ $EUID -eq 0 ]]; then "$@"; else sudo "$@"; fi
}

install_host_packages() {
    local missing=()
    local package
    for package in "${host_packages[@]}"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            missing+=("$package")
    done
    if [[ ${#missing[@]} -eq 0 ]]; then
        say "${host_packages[*]}: there"
        return
    fi
    say "installing ${missing[*]}"
    as_root apt-get -qq update
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -y install --no-install-recommends "${missing[@]}" >/dev/null
}

# The mirror this machine already uses, in the new (deb822) or the old form of apt's sources.
debian_mirror() {
    if [[ -r /etc/apt/sources.list.d/debian.sources ]]; then
        awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources
    elif [[ -r /etc/apt/sources.list ]]; then
        awk '$1 == "deb" && $0 ~ /debian/ {for (i = 2; i <= NF; i++)
            if ($i ~ /^https?:/) {print $i; exit}}' /etc/apt/sources.list
    fi
}

fetch_orthanc() {
    local mirror="$1" work="$2"
    local -a apt=(
        -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null
        -o "Dir::State=$work/state" -o "Dir::State::status=$work/status"
        -o "Dir::Cache=$work/cache" -o "APT::Sandbox::User=$(id -un)"
        -o APT::Install-Recommends=false -o Debug::NoLocking=true
    )
    mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" "$work/new/root"
    : >"$work/status" # an empty system: apt downloads every dependency
    echo "deb [signed-by=$keyring] $mirror $orthanc_release main" >"$work/sources.list"
    apt-get "${apt[@]}" -qq update
    apt-get "${apt[@]}" -qq -y --download-only install "${orthanc_packages[@]}" >/dev/null
    local archive
    for archive in "$work"/cache/archives/*.deb; do
        dpkg-deb -x "$archive" "$work/new/root"
    done
}

# Runs Orthanc with its own libraries and its own DICOM dictionary, wherever the folder lies.
write_launcher() {
    local triplet
    triplet="$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo "$(uname -m)-linux-gnu")"
    cat >"$1" <<LAUNCHER
#!/bin/sh
root=\$(dirname "\$(readlink -f "\$0")")/root
libraries=\$root/usr/lib/$triplet
loader=\$(ls "\$root"/usr/lib64/ld-linux-*.so.2 "\$root"/usr/lib/ld-linux-*.so.1 2>/dev/null | head -n 1)
export DCMDICTPATH="\$root/usr/share/dcmtk/dicom.dic"
exec "\$loader" --library-path "\$libraries:\$libraries/lapack:\$libraries/blas:\$root/usr/lib/orthanc" \\
    "\$root/usr/sbin/Orthanc" "\$@"
LAUNCHER
    chmod +x "$1"
}

install_orthanc() {
    if [[ -x $prefix/orthanc ]]; then
        say "Orthanc: there"
        return
    fi
    local mirror
    mirror="$(debian_mirror)"
    if [[ -z $mirror || ! -r $keyring ]]; then
        say "no Debian mirror or keyring on this machine: put an Orthanc 1.12 launcher at $prefix/orthanc"
        return 1
    fi
    say "fetching Orthanc of Debian $orthanc_release"
    local work
    mkdir -p .peers
    work="$(mktemp -d "$PWD/.peers/fetch.XXXXXX")"
    trap 'rm -rf "$work"' RETURN
    fetch_orthanc "$mirror" "$work"
    write_launcher "$work/new/orthanc"
    "$work/new/orthanc" --version >/dev/null
    rm -rf "$prefix"
    mv "$work/new" "$prefix"
}

# The package holds the site as it is served; a third of it is for what nobody opens here:
# neural networks in the page, microscopy, maps of its sources.
install_ohif() {
    if [[ -r $ohif/release && $(<"$ohif/release") == "$ohif_release" ]]; then
        say "OHIF: there"
        return
    fi
    if ! command -v npm >/dev/null; then
        say "installing npm, which fetches OHIF"
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get -qq -y install --no-install-recommends npm >/dev/null
    fi
    say "fetching OHIF $ohif_release"
    local work archive
    mkdir -p .peers
    work="$(mktemp -d "$PWD/.peers/fetch.XXXXXX")"
    trap 'rm -rf "$work"' RETURN
    archive="$work/$(cd "$work" && npm pack --silent "@ohif/app@$ohif_release")"
    echo "$ohif_sha512  $archive" | sha512sum --check --quiet
    tar --extract --gzip --file "$archive" --directory "$work" \
        --exclude='*.map' --exclude='package/dist/ort' \
        --exclude='package/dist/dicom-microscopy-viewer' package/dist
    echo "$ohif_release" >"$work/package/dist/release"
    rm -rf "$ohif"
    mv "$work/package/dist" "$ohif"
}

install_host_packages
install_orthanc
install_ohif
say "$("$prefix/orthanc" --version 2>/dev/null | head -n 1)"
