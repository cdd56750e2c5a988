//! The harness is tried on programs whose behaviour is plain, so that a test that uses it fails for the daemon's sake.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use signal_hook::consts::SIGINT;
use tempfile::TempDir;

use super::chance::Chance;
use super::daemon::{Daemon, Exit, Home, Output, Whom, is_gone, is_ignored};
use super::wait;

const LIMIT: Duration = Duration::from_secs(20);

/// Runs as "trader" once it has written its pid; ends with 40 + n on the n-th kind of signal.
const SPEAKER: &str = r#"
    trap 'exit 41' INT; trap 'exit 42' TERM; trap 'exit 43' HUP
    mkdir -p "$STATE"; echo $$ >"$STATE/lastorders.pid"
    while :; do sleep 0.02; done
"#;

fn sh(home: &Home, script: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).env("STATE", home.state());
    command
}

fn ready_speaker(folder: &TempDir, output: Output, own_group: bool) -> Daemon {
    let home = Home::new(folder.path());
    let mut daemon = Daemon::spawn(&home, sh(&home, SPEAKER), output, own_group);
    daemon.wait_ready(LIMIT).unwrap();
    daemon
}

#[test]
fn every_stopping_signal_reaches_the_child_by_every_way() {
    for (signal, code) in [(Signal::INT, 41), (Signal::TERM, 42), (Signal::HUP, 43)] {
        for whom in [Whom::Run, Whom::Trader, Whom::Group] {
            let folder = TempDir::new().unwrap();
            let mut daemon = ready_speaker(&folder, Output::Files, true);
            assert!(daemon.signal(whom, signal), "{whom:?}");
            let exit = daemon.wait_exit(LIMIT).unwrap();
            assert_eq!(exit, Exit { code: Some(code), signal: None }, "{whom:?} {signal:?}");
            assert!(!daemon.signal(whom, signal), "nobody is there any more");
        }
    }
}

/// Started from a shell that ignores SIGINT, as every background job of a script is, this runs the test above again.
#[test]
fn children_take_sigint_even_when_the_tests_ignore_it() {
    const INNER: &str = "LASTORDERS_TEST_IGNORES_INT";
    #[allow(clippy::disallowed_methods, reason = "the outer run tells the inner one apart")]
    let is_inner = std::env::var_os(INNER).is_some();
    let folder = TempDir::new().unwrap();
    if is_inner {
        assert!(is_ignored(SIGINT), "the shell was to hand it down ignored");
        let mut daemon = ready_speaker(&folder, Output::Files, false);
        daemon.signal(Whom::Run, Signal::INT);
        assert_eq!(daemon.wait_exit(LIMIT).unwrap().code, Some(41));
        return;
    }
    #[allow(clippy::disallowed_methods, reason = "this very test, not the daemon")]
    let tests = std::env::current_exe().unwrap();
    let name = "harness::checks::children_take_sigint_even_when_the_tests_ignore_it";
    let output = Command::new("sh")
        .args(["-c", "trap '' INT; exec \"$0\" --exact \"$1\""])
        .arg(tests)
        .arg(name)
        .env(INNER, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn a_child_outlives_neither_its_test_nor_its_parent() {
    let folder = TempDir::new().unwrap();
    let home = Home::new(folder.path());
    // The started process is not the one that trades.
    let parent = format!("sh -c '{}' & wait", SPEAKER.replace('\'', "'\\''"));
    let mut daemon = Daemon::spawn(&home, sh(&home, &parent), Output::Files, false);
    daemon.wait_ready(LIMIT).unwrap();
    let trader = home.trader().unwrap();
    assert!(!is_gone(trader));
    drop(daemon);
    assert!(is_gone(trader), "the trader is still there");
}

#[test]
fn a_stale_pid_file_is_not_readiness() {
    let folder = TempDir::new().unwrap();
    let home = Home::new(folder.path());
    std::fs::create_dir_all(home.state()).unwrap();
    std::fs::write(home.state().join("lastorders.pid"), "999999\n").unwrap();
    let mut daemon = Daemon::spawn(&home, sh(&home, "exit 7"), Output::Files, false);
    let refused = daemon.wait_ready(LIMIT).unwrap_err();
    assert!(refused.contains("code: Some(7)"), "{refused}");
}

#[test]
fn a_pipe_nobody_reads_stops_a_writer_and_a_pipe_without_reader_breaks() {
    let folder = TempDir::new().unwrap();
    let home = Home::new(folder.path());
    let writer = "trap '' PIPE; i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789 >&2 || \
                  exit 9; i=$((i + 1)); done; exit 8";
    let mut blocked = Daemon::spawn(&home, sh(&home, writer), Output::NobodyReads, false);
    let mut broken = Daemon::spawn(&home, sh(&home, writer), Output::ReaderGone, false);
    let mut filed = Daemon::spawn(&home, sh(&home, writer), Output::Files, false);
    assert_eq!(broken.wait_exit(LIMIT).unwrap().code, Some(9));
    assert_eq!(filed.wait_exit(LIMIT).unwrap().code, Some(8));
    assert_eq!(blocked.wait_exit(Duration::from_millis(50)).ok(), None, "somebody reads the pipe");
    assert!(home.printed().len() > 100_000);
}

#[test]
fn a_wait_ends_with_what_it_waited_for() {
    let mut looks = 0;
    let seen = wait::until(LIMIT, "three looks", || {
        looks += 1;
        (looks == 3).then_some("seen")
    });
    assert_eq!(seen, Ok("seen"));
    let never = wait::until(Duration::ZERO, "nothing", || None::<()>);
    assert_eq!(never, Err("waited 0 s in vain for nothing".to_owned()));
}

#[test]
fn the_same_seed_draws_the_same_numbers() {
    let draw = |seed, number| {
        let mut chance = Chance::new(seed, number);
        [chance.below(1_000), chance.below(1_000), chance.below(1_000)]
    };
    assert_eq!(draw(1, 1), draw(1, 1));
    assert_ne!(draw(1, 1), draw(1, 2));
    assert_ne!(draw(1, 1), draw(2, 1));
}
