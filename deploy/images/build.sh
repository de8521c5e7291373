#!/usr/bin/env bash
# Builds the container image from the release programs:
#   deploy/images/build.sh [NAME:TAG]        default: sluice:VERSION
# CONTAINER_TOOL names the tool; by default podman, else docker. BASE replaces the base image.
set -euo pipefail
cd "$(dirname "$0")/../.."

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
image=${1:-sluice:$version}
tool=${CONTAINER_TOOL:-$(command -v podman || command -v docker || true)}
if [ -z "$tool" ]; then
    echo "error: neither podman nor docker found; install one or set CONTAINER_TOOL" >&2
    exit 1
fi

cargo xtask build

# A context of two files: the target folder would be sent whole.
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
for program in sluice sluice-ingress; do
    strip --strip-debug -o "$context/$program" "${CARGO_TARGET_DIR:-target}/release/$program"
done
"$tool" build ${BASE:+--build-arg "BASE=$BASE"} --file deploy/images/Containerfile --tag "$image" "$context"
echo "built $image"
