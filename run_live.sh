#!/bin/sh
# Starts lastorders. Builds it first where the binary is missing, except with MODE=LIVE: what trades real money is
# built and looked at beforehand. Sets no variable of the environment; MODE, VENUE, SYMBOLS and the others pass through.
# State and configuration belong to the folder this is called from, the program to the folder this file lies in.
set -eu

# Where this file lies, also when it is called through a symbolic link.
lo_file=$0
while [ -h "$lo_file" ]; do
    lo_link=$(readlink -- "$lo_file")
    case $lo_link in
        /*) lo_file=$lo_link ;;
        *) lo_file=$(dirname -- "$lo_file")/$lo_link ;;
    esac
done
lo_home=$(CDPATH='' cd -P -- "$(dirname -- "$lo_file")" && pwd)
lo_program=$lo_home/target/release/lastorders

# LIVE by variable or by argument.
lo_live=no
if [ "${MODE:-}" = LIVE ]; then lo_live=yes; fi
lo_before=
for lo_word in "$@"; do
    case $lo_before$lo_word in
        --modeLIVE | --mode=LIVE) lo_live=yes ;;
        *) ;;
    esac
    lo_before=
    if [ "$lo_word" = --mode ]; then lo_before=$lo_word; fi
done

if [ ! -x "$lo_program" ]; then
    if [ "$lo_live" = yes ]; then
        {
            echo "run_live.sh: there is no $lo_program, and nothing is built in LIVE."
            echo "Build it, try it with MODE=PAPER, then start again:"
            echo "  cargo build --release --locked --manifest-path '$lo_home/Cargo.toml' --target-dir '$lo_home/target'"
        } >&2
        exit 2
    fi
    if ! command -v cargo >/dev/null 2>&1; then
        echo "run_live.sh: cargo is missing, so lastorders cannot be built. Get it at https://rustup.rs" >&2
        exit 1
    fi
    echo "run_live.sh: building lastorders; this takes two to four minutes, once." >&2
    # In the background, because a shell that waits in the foreground does not hear a signal, and as process 1 would
    # not die of one either.
    cargo build --release --locked --manifest-path "$lo_home/Cargo.toml" --target-dir "$lo_home/target" >&2 &
    lo_build=$!
    trap 'kill -TERM "$lo_build" 2>/dev/null; exit 143' TERM HUP
    trap 'kill -TERM "$lo_build" 2>/dev/null; exit 130' INT
    if ! wait "$lo_build"; then
        echo "run_live.sh: the build failed; nothing was started." >&2
        exit 1
    fi
    trap - TERM HUP INT
fi

exec "$lo_program" run "$@"
