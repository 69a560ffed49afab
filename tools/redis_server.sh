#!/bin/sh
# Sees to it that Debian's redis-server is there, for the tests. Starts no service. Loud where it cannot; an error in CI.
set -eu

command -v redis-server >/dev/null 2>&1 && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing Debian's redis-server (once)"
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    install="apt-get -qq -y --no-install-recommends install redis-server"
    if $install >/dev/null 2>&1 || { apt-get -qq update && $install >/dev/null; }; then
        exit 0
    fi
fi

cat >&2 <<'MESSAGE'

*** Debian's redis-server is missing and could not be installed: apt-get install redis-server, as root.     ***
*** The tests of the shared cache run on the Valkey servers from wheels only; those with TLS and Sentinel   ***
*** need it. With CI set this is an error.                                                                  ***

MESSAGE
[ -z "${CI:-}" ]
