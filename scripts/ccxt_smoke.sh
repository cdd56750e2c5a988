#!/bin/sh
# Ordinary client libraries, written by others and changed in nothing but the address, against `lastorders exchange`.
#
#   scripts/ccxt_smoke.sh                 builds a throw-away environment, runs all checks, prints a table
#   LASTORDERS=path scripts/ccxt_smoke.sh with this binary instead of target/{release,debug}/lastorders
#   SMOKE_VENV=path scripts/ccxt_smoke.sh with this Python environment, made there if it is missing, and kept
#
# Exit code 0 only if every check holds. Needs python3 with venv, and a package index for ccxt and pybit.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
binary=${LASTORDERS:-}
if [ -z "$binary" ]; then
    for kind in release debug; do
        if [ -z "$binary" ] && [ -x "$root/target/$kind/lastorders" ]; then
            binary="$root/target/$kind/lastorders"
        fi
    done
fi
if [ -z "$binary" ]; then
    (cd "$root" && cargo build --quiet --bin lastorders)
    binary="$root/target/debug/lastorders"
fi

work=$(mktemp -d)
exchange=
finish() {
    code=$?
    trap - EXIT INT TERM
    if [ -n "$exchange" ] && kill -TERM "$exchange" 2>/dev/null; then
        ended=0
        wait "$exchange" || ended=$?
        if [ "$ended" -ne 0 ]; then
            echo "the exchange ended with $ended" >&2
            [ "$code" -ne 0 ] || code=1
        fi
    fi
    if [ "$code" -ne 0 ] && [ -s "$work/exchange.err" ]; then
        echo "--- the exchange said:" >&2
        tail -n 20 "$work/exchange.err" >&2
    fi
    rm -rf "$work"
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

venv=${SMOKE_VENV:-$work/venv}
if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
fi
if ! "$venv/bin/python" -c 'import ccxt, pybit' 2>/dev/null; then
    echo "installing ccxt and pybit"
    "$venv/bin/pip" install --quiet --disable-pip-version-check ccxt pybit
fi

# pybit sends a request or a subscription first and notes then who waits for the answer: one that comes at once is an
# error to it, and its socket ends. A venue is never that near, so this one is 5 ms away.
"$binary" exchange --latency-ms 5 --listen 127.0.0.1:0 --admin 127.0.0.1:0 --ledger "$work/ledger.jsonl" \
    --symbols BTC-USDT,BTC-USDT-PERP,ETH-USDT-PERP --key smoke-key:smoke-secret --key switch-key:smoke-secret:1:switch \
    --ready-file "$work/ready.json" --quiet >"$work/exchange.err" 2>&1 &
exchange=$!
tries=0
while [ ! -e "$work/ready.json" ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 300 ] || ! kill -0 "$exchange" 2>/dev/null; then
        echo "the exchange did not begin" >&2
        exit 1
    fi
    sleep 0.1
done

"$venv/bin/python" "$root/scripts/ccxt_smoke.py" "$work/ready.json" "$work/ledger.jsonl"
