//! The daemon as a child process.
//!
//! Always holds: it gets an environment of its own, so that nothing of the tester's configuration leaks in; it starts
//! with every stopping signal at its default; it and its trader are gone when the value is dropped.

use std::fs::File;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Once};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::wait;

const BINARY: &str = env!("CARGO_BIN_EXE_lastorders");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// How it is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// `lastorders run`.
    Binary,
    /// `run_live.sh`, as a person starts it.
    Script,
}

/// What becomes of what it prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Into files.
    Files,
    /// Into pipes that nobody reads: full after a while.
    NobodyReads,
    /// Into pipes whose reader has gone.
    ReaderGone,
}

/// How a daemon is to be run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) front: Front,
    pub(crate) output: Output,
    /// In a process group of its own, so that a signal can go to all of it as from a terminal.
    pub(crate) own_group: bool,
    /// The whole configuration file.
    pub(crate) config: String,
    /// Variables besides.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// A program and its arguments that the daemon is handed to, such as `nohup`. It must become the daemon (`exec`).
    pub(crate) through: Vec<String>,
}

impl Plan {
    pub(crate) fn new(config: &str) -> Plan {
        Plan {
            front: Front::Binary,
            output: Output::Files,
            own_group: false,
            config: config.to_owned(),
            environment: Vec::new(),
            through: Vec::new(),
        }
    }

    /// Through a piece of shell that ends in `exec "$@"`.
    pub(crate) fn through_shell(mut self, script: &str) -> Plan {
        self.through = ["sh", "-c", script, "sh"].map(str::to_owned).to_vec();
        self
    }
}

/// Who gets a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// The process that was started: what a supervisor signals.
    Run,
    /// The process that trades, by the pid file; the started one while there is none.
    Trader,
    /// The whole group, as Ctrl-C in a terminal.
    Group,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Exit {
        Exit { code: status.code(), signal: status.signal() }
    }
}

/// A folder in which daemons run one after the other: state, configuration, output.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    folder: PathBuf,
}

impl Home {
    pub(crate) fn new(folder: &Path) -> Home {
        for name in ["runtime", "tmp"] {
            private_folder(&folder.join(name));
        }
        Home { folder: folder.to_owned() }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// The ledger of a venue: what happened there to orders of this instance.
    pub(crate) fn ledger(&self, venue: &str) -> PathBuf {
        self.state().join(format!("paper/{venue}.jsonl"))
    }

    fn config(&self) -> PathBuf {
        self.folder.join("lastorders.toml")
    }

    /// The trader's pid, once it is ready.
    pub(crate) fn trader(&self) -> Option<Pid> {
        let text = std::fs::read_to_string(self.state().join("lastorders.pid")).ok()?;
        // Number 1 is what a daemon calls itself in a process namespace of its own; here that is somebody else.
        Pid::from_raw(text.trim().parse().ok()?).filter(|pid| !pid.is_init())
    }

    /// What all runs here have printed, for a failed test.
    pub(crate) fn printed(&self) -> String {
        ["out", "err"].iter().map(|name| std::fs::read_to_string(self.folder.join(name)).unwrap_or_default()).collect()
    }

    /// A command to the running daemon, such as `status --json`.
    pub(crate) fn command(&self, words: &[&str]) -> io::Result<std::process::Output> {
        self.command_with(words, &[])
    }

    /// The same, with variables besides.
    pub(crate) fn command_with(
        &self,
        words: &[&str],
        environment: &[(&'static str, String)],
    ) -> io::Result<std::process::Output> {
        let mut command = Command::new(BINARY);
        self.surround(&mut command);
        command.envs(environment.iter().map(|(name, value)| (*name, value.as_str())));
        command.args(words).stdin(Stdio::null()).output()
    }

    fn surround(&self, command: &mut Command) {
        let path = inherited("PATH").unwrap_or_else(|| "/usr/bin:/bin".to_owned());
        command
            .env_clear()
            .current_dir(&self.folder)
            .env("PATH", path)
            .env("HOME", &self.folder)
            .env("TMPDIR", self.folder.join("tmp"))
            // Account locks lie here: each home has its own user, as far as they can tell.
            .env("XDG_RUNTIME_DIR", self.folder.join("runtime"))
            .env("MODE", "PAPER")
            .env("LASTORDERS_CONFIG", self.config())
            .env("LASTORDERS_STATE_DIR", self.state())
            .env("LASTORDERS_WEB", "off");
        // Measuring coverage means letting the child write its profile.
        if let Some(profile) = inherited("LLVM_PROFILE_FILE") {
            command.env("LLVM_PROFILE_FILE", profile);
        }
    }

    /// A copy of the start script beside the binary under test, where it looks for one.
    fn script(&self) -> PathBuf {
        let script = self.folder.join("run_live.sh");
        if !script.exists() {
            let release = self.folder.join("target/release");
            std::fs::create_dir_all(&release).expect("a folder in a temporary folder");
            std::os::unix::fs::symlink(BINARY, release.join("lastorders")).expect("a link in a temporary folder");
            std::fs::copy(Path::new(ROOT).join("run_live.sh"), &script).expect("run_live.sh lies at the root");
        }
        script
    }
}

/// A running daemon.
pub(crate) struct Daemon {
    home: Home,
    child: Child,
    exit: Option<Exit>,
    own_group: bool,
    /// Whoever was the trader before this run: a pid file with it is old.
    former: Option<Pid>,
    /// Held open, never read.
    _unread: (Option<ChildStdout>, Option<ChildStderr>),
}

impl Daemon {
    /// Starts it. It is not ready yet.
    pub(crate) fn start(home: &Home, plan: &Plan) -> Daemon {
        std::fs::write(home.config(), &plan.config).expect("a file in a temporary folder");
        let mut words = plan.through.clone();
        match plan.front {
            Front::Binary => words.extend([BINARY.to_owned(), "run".to_owned()]),
            Front::Script => words.push(home.script().display().to_string()),
        }
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        home.surround(&mut command);
        command.envs(plan.environment.iter().map(|(name, value)| (*name, value.as_str())));
        Daemon::spawn(home, command, plan.output, plan.own_group)
    }

    /// Starts any program as if it were the daemon.
    pub(crate) fn spawn(home: &Home, mut command: Command, output: Output, own_group: bool) -> Daemon {
        let_children_take_signals();
        command.stdin(Stdio::null());
        match output {
            Output::Files => {
                command.stdout(appending(&home.folder.join("out")));
                command.stderr(appending(&home.folder.join("err")));
            }
            Output::NobodyReads | Output::ReaderGone => {
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
            }
        }
        if own_group {
            command.process_group(0);
        }
        let former = home.trader();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let unread = match output {
            Output::NobodyReads => (child.stdout.take(), child.stderr.take()),
            Output::Files | Output::ReaderGone => {
                drop((child.stdout.take(), child.stderr.take()));
                (None, None)
            }
        };
        Daemon { home: home.clone(), child, exit: None, own_group, former, _unread: unread }
    }

    /// Waits until it trades.
    pub(crate) fn wait_ready(&mut self, limit: Duration) -> Result<(), String> {
        let seen = wait::until(limit, "the daemon to be ready", || {
            if let Some(exit) = self.look_for_exit() {
                return Some(Err(format!("it ended before it was ready: {exit:?}")));
            }
            self.is_ready().then_some(Ok(()))
        });
        seen.and_then(|seen| seen).map_err(|why| format!("{why}\n{}", self.home.printed()))
    }

    /// Whether its pid file stands.
    pub(crate) fn is_ready(&self) -> bool {
        let trader = self.home.trader();
        trader.is_some() && trader != self.former
    }

    /// Sends a signal. Whether there was someone to get it.
    pub(crate) fn signal(&mut self, whom: Whom, signal: Signal) -> bool {
        if self.look_for_exit().is_some() {
            return false;
        }
        let run = self.pid();
        match whom {
            Whom::Run => kill_process(run, signal).is_ok(),
            Whom::Trader => {
                let trader = self.home.trader().filter(|_| self.is_ready());
                kill_process(trader.unwrap_or(run), signal).is_ok()
            }
            Whom::Group => {
                assert!(self.own_group, "a signal to the group would reach the tests: set `own_group`");
                kill_process_group(run, signal).is_ok()
            }
        }
    }

    /// Waits until it has ended.
    pub(crate) fn wait_exit(&mut self, limit: Duration) -> Result<Exit, String> {
        let seen = wait::until(limit, "the daemon to end", || self.look_for_exit());
        seen.map_err(|why| format!("{why}\n{}", self.home.printed()))
    }

    /// Kills it and its trader without a word, as the kernel does when memory is out.
    pub(crate) fn kill(&mut self) {
        let trader = self.home.trader().filter(|_| self.is_ready());
        if self.exit.is_none() {
            // It may have ended this moment; then there is nothing to kill.
            let _ = self.child.kill();
            if let Ok(status) = self.child.wait() {
                self.exit = Some(status.into());
            }
        }
        let Some(trader) = trader else { return };
        if kill_process(trader, Signal::KILL).is_ok() {
            // Not our child: it is gone when nobody answers to its number any more.
            let gone = || is_gone(trader).then_some(());
            let _ = wait::until(Duration::from_secs(10), "the trader to be gone", gone);
        }
    }

    /// The process that was started.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn look_for_exit(&mut self) -> Option<Exit> {
        if self.exit.is_none() {
            self.exit = self.child.try_wait().expect("our own child").map(Exit::from);
        }
        self.exit
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A background job of a non-interactive shell inherits SIGINT as ignored, and so would everything it starts. A signal
/// with a handler, unlike an ignored one, is back at its default in a new program. So the tests take a handler for each
/// that they ignore (which changes nothing for themselves: it does nothing either).
fn let_children_take_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for signal in [SIGINT, SIGHUP, SIGTERM] {
            if is_ignored(signal) {
                signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))
                    .expect("a signal that can be handled");
            }
        }
    });
}

/// Whether this process ignores a signal.
pub(crate) fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Where the system does not say, take the handler.
    mask.is_none_or(|mask| mask & (1 << (signal - 1)) != 0)
}

/// Whether a process has ended, waited for or not.
pub(crate) fn is_gone(process: Pid) -> bool {
    if test_kill_process(process).is_err() {
        return true;
    }
    // Where nobody waits for orphans they stay as zombies: `pid (name) Z ...`.
    let status = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).unwrap_or_default();
    status.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
}

fn inherited(name: &str) -> Option<String> {
    #[allow(clippy::disallowed_methods, reason = "the child gets nothing else of our environment")]
    std::env::var(name).ok()
}

fn appending(path: &Path) -> File {
    let file = File::options().create(true).append(true).open(path);
    file.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn private_folder(path: &Path) {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
