#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes ./configure from configure.ac in a fresh clone.
set -eu
cd "$(dirname "$0")"
mkdir -p m4 build-aux
exec autoreconf --install --force "$@"
