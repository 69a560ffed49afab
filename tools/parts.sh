#!/bin/sh
# Sees to it that the programs from Debian that tests drive are there. Starts no service. Loud where it cannot; an error
# in CI.
set -eu

# program, Debian's package, what is not tested without it
PARTS="
redis-server redis-server the_shared_cache_with_TLS,_ACL_and_Sentinel
promtool prometheus metrics_and_alert_rules_against_a_real_Prometheus
amtool prometheus-alertmanager alerts_through_a_real_Alertmanager
chromium chromium the_dashboard_in_a_real_browser
haproxy haproxy several_gateways_behind_a_real_load_balancer
systemd-analyze systemd the_unit_for_systemd
"

missing() {
    echo "$PARTS" | while read -r program package untested; do
        [ -z "$program" ] || command -v "$program" >/dev/null 2>&1 || echo "$package $untested"
    done
}

packages=$(missing | cut -d' ' -f1 | tr '\n' ' ')
[ -n "$packages" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing from Debian (once): $packages"
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    install="apt-get -qq -y --no-install-recommends install $packages"
    if $install >/dev/null 2>&1 || { apt-get -qq update && $install >/dev/null; }; then
        exit 0
    fi
fi

{
    echo
    echo "*** Missing, and not to be installed from here (apt-get install ..., as root). Not tested without:"
    missing | while read -r package untested; do echo "***   $package: $(echo "$untested" | tr _ ' ')"; done
    echo "*** With CI set this is an error."
    echo
} >&2
[ -z "${CI:-}" ]
