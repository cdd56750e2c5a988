//! Starting the real binary's local exchange, and telling it what to do.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::client::{Client, Key, Outcome, Socket};
use super::ledger::VenueLedger;
use crate::harness::daemon::Exit;
use crate::harness::wait;

const BINARY: &str = env!("CARGO_BIN_EXE_lastorders");
const PATIENCE: Duration = Duration::from_secs(60);

/// The key every exchange here has, on account 0.
pub(crate) const KEY: &str = "test-key";
pub(crate) const SECRET: &str = "test-secret";

/// A running exchange. Dropping it kills it.
pub(crate) struct Exchange {
    folder: PathBuf,
    child: Child,
    listen: SocketAddr,
    admin: SocketAddr,
    exit: Option<Exit>,
}

impl Exchange {
    /// Starts one whose files lie in `folder`, and waits until both ports take connections. A later one in the same
    /// folder goes on with the same ledger. `words` are further arguments.
    pub(crate) fn start(folder: &Path, words: &[&str]) -> Exchange {
        Exchange::start_at(folder, "127.0.0.1:0", words)
    }

    /// Starts one at an address: a restart that clients are to find again.
    pub(crate) fn start_at(folder: &Path, listen: &str, words: &[&str]) -> Exchange {
        Exchange::spawn(folder, Command::new(BINARY), listen, words)
    }

    /// Starts one that no file of it may grow beyond so many bytes.
    pub(crate) fn start_with_full_disk_at(folder: &Path, bytes: u64, words: &[&str]) -> Exchange {
        let mut command = Command::new("sh");
        // In blocks of 512 bytes, as POSIX has it.
        let script = format!("ulimit -f {}; exec \"$@\"", bytes.div_ceil(512));
        command.args(["-c", &script, "sh", BINARY]);
        Exchange::spawn(folder, command, "127.0.0.1:0", words)
    }

    fn spawn(folder: &Path, mut command: Command, listen: &str, words: &[&str]) -> Exchange {
        let ready_file = folder.join("ready.json");
        // One that was killed has left its own.
        let _ = std::fs::remove_file(&ready_file);
        command
            .env_clear()
            .current_dir(folder)
            .args(["exchange", "--listen", listen, "--key", &format!("{KEY}:{SECRET}")])
            .arg("--ledger")
            .arg(folder.join("ledger.jsonl"))
            .arg("--ready-file")
            .arg(&ready_file)
            .args(words)
            .stdin(Stdio::null())
            .stdout(appending(&folder.join("exchange.out")))
            .stderr(appending(&folder.join("exchange.err")));
        #[allow(clippy::disallowed_methods, reason = "measuring coverage means letting the child write its profile")]
        if let Ok(profile) = std::env::var("LLVM_PROFILE_FILE") {
            command.env("LLVM_PROFILE_FILE", profile);
        }
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let ready = wait::until(PATIENCE, "the exchange to be ready", || {
            if let Ok(Some(status)) = child.try_wait() {
                return Some(Err(format!("it ended before it was ready: {status}")));
            }
            let text = std::fs::read_to_string(&ready_file).ok()?;
            Some(serde_json::from_str::<Value>(&text).map_err(|error| format!("{error}: {text}")))
        });
        let ready = match ready.and_then(|ready| ready) {
            Ok(ready) => ready,
            Err(why) => {
                let _ = child.kill();
                let _ = child.wait();
                panic!("{why}\n{}", printed(folder));
            }
        };
        let address = |name: &str| ready[name].as_str().and_then(|text| text.parse().ok());
        let (Some(listen), Some(admin)) = (address("listen"), address("admin")) else {
            panic!("the ready file names no addresses: {ready}");
        };
        Exchange { folder: folder.to_owned(), child, listen, admin, exit: None }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listen
    }

    /// What a daemon needs in its environment to trade here.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let at = self.listen;
        vec![
            ("BYBIT_REST_URL", format!("http://{at}")),
            ("BYBIT_WS_PUBLIC_URL", format!("ws://{at}/v5/public/linear")),
            ("BYBIT_WS_PRIVATE_URL", format!("ws://{at}/v5/private")),
            ("BYBIT_API_KEY", KEY.to_owned()),
            ("BYBIT_API_SECRET", SECRET.to_owned()),
        ]
    }

    /// A client of account 0.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.listen, Some(key()))
    }

    /// The stream of account 0.
    pub(crate) fn private(&self, topics: &[&str]) -> Socket {
        Socket::private(self.listen, &key(), topics)
    }

    /// Tells it something, which must be possible; gives what it says.
    pub(crate) fn order(&self, command: &Value) -> Value {
        self.try_order(command).unwrap_or_else(|why| panic!("{command}: {why}"))
    }

    /// Tells it something; the error is its own words.
    pub(crate) fn try_order(&self, command: &Value) -> Result<Value, String> {
        let answer = Client::new(self.admin, None).post("/command", command).answer();
        let body = answer.json();
        if answer.status == 200 {
            return Ok(body);
        }
        Err(body["error"].as_str().unwrap_or_else(|| panic!("a refusal without words: {body}")).to_owned())
    }

    /// A look by the admin port: `orders`, `health`, `faults`.
    pub(crate) fn look(&self, what: &str) -> Value {
        let answer = Client::new(self.admin, None).get(&format!("/{what}"), "").answer();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Anything by the admin port.
    pub(crate) fn admin(&self) -> Client {
        Client::new(self.admin, None)
    }

    pub(crate) fn ledger_path(&self) -> PathBuf {
        self.folder.join("ledger.jsonl")
    }

    /// What has happened so far.
    pub(crate) fn ledger(&self) -> VenueLedger {
        VenueLedger::read(&self.ledger_path())
    }

    /// Waits until the ledger shows something.
    pub(crate) fn wait_for<T>(&self, what: &str, look: impl Fn(&VenueLedger) -> Option<T>) -> T {
        let found = wait::until(PATIENCE, what, || look(&self.ledger()));
        found.unwrap_or_else(|why| panic!("{why}\n{}", printed(&self.folder)))
    }

    /// Waits until clients get answers: a fault has been healed.
    pub(crate) fn answers(&self) -> bool {
        matches!(self.client().with_patience(Duration::from_secs(5)).get("/v5/market/time", ""), Outcome::Answer(_))
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("our own child");
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn terminate(&mut self) -> Exit {
        self.signal(Signal::TERM);
        self.wait_exit()
    }

    pub(crate) fn wait_exit(&mut self) -> Exit {
        let exit = wait::until(PATIENCE, "the exchange to end", || {
            self.child.try_wait().expect("our own child").map(Exit::from)
        });
        let exit = exit.unwrap_or_else(|why| panic!("{why}\n{}", printed(&self.folder)));
        self.exit = Some(exit);
        exit
    }

    /// Kills it without a word.
    pub(crate) fn kill(&mut self) {
        if self.exit.is_none() {
            // It may have ended this moment; then there is nothing to kill.
            let _ = self.child.kill();
            self.exit = self.child.wait().ok().map(Exit::from);
        }
    }

    /// What went wrong with it, in its own words.
    pub(crate) fn errors(&self) -> String {
        std::fs::read_to_string(self.folder.join("exchange.err")).unwrap_or_default()
    }

    /// What it has printed.
    pub(crate) fn printed(&self) -> String {
        printed(&self.folder)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The key of account 0.
pub(crate) fn key() -> Key {
    Key::new(KEY, SECRET)
}

fn printed(folder: &Path) -> String {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    format!("{}{}", read("exchange.out"), read("exchange.err"))
}

fn appending(path: &Path) -> File {
    let file = File::options().create(true).append(true).open(path);
    file.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
