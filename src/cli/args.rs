//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

const AFTER: &str = "\
Examples:
  lastorders run                     trade on paper, on the built-in market
  lastorders status                  how the running trader stands
  lastorders stop                    cancel every order, prove it, end
  lastorders doctor                  what is wrong here, and the mend

Environment:
  MODE                   DRY_RUN, PAPER (default), LIVE
  VENUE, SYMBOLS         one venue without a file: sim, bybit; BTC-USDT,ETH-USDT-PERP
  LASTORDERS_CONFIG      configuration file; else ./lastorders.toml if it is there
  LASTORDERS_STATE_DIR   state directory; else ./var/<mode>
  LASTORDERS_INSTANCE    four characters of 0-9 and a-z
  BYBIT_API_KEY, BYBIT_API_SECRET
                         the account's key, for LIVE only; or in a file of yours alone, named by the same
                         with _FILE; for one account of several: LASTORDERS_<NAME>_API_KEY and so on
  BYBIT_REST_URL, BYBIT_WS_PUBLIC_URL, BYBIT_WS_PRIVATE_URL
                         instead of the venue's own addresses
  RUST_LOG               log filter, such as lastorders=debug

Exit codes:
  0   done; of a run: nothing of ours is open, and that was shown
  1   it could not be done; nothing of ours is open
  2   the command line or the configuration is wrong
  3   orders of ours are or may be open: they are named
  4   another process holds the lock
  75  a restart is wanted (run --no-guard and trade only)";

/// A 24/7 trading daemon that never leaves an order behind.
#[derive(Debug, Parser)]
#[command(name = "lastorders", version, about, after_help = AFTER, arg_required_else_help = true, max_term_width = 100)]
pub struct Arguments {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Which trader")]
pub struct Global {
    /// Configuration file [else LASTORDERS_CONFIG, else ./lastorders.toml if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How real it is [else MODE, else PAPER]
    #[arg(long, global = true, hide_possible_values = true, value_name = "DRY_RUN|PAPER|LIVE",
          value_parser = PossibleValuesParser::new(["DRY_RUN", "PAPER", "LIVE"]))]
    pub mode: Option<String>,
    /// State directory [else LASTORDERS_STATE_DIR, else ./var/<mode>]
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Trade until told to stop
    #[command(after_help = "\
Example:
  lastorders run
  MODE=DRY_RUN lastorders run --config my.toml

It stops on SIGTERM, Ctrl-C, SIGHUP or `lastorders stop`: every order is cancelled and shown to be gone.")]
    Run {
        /// End with 75 on a wanted restart instead of beginning again.
        ///
        /// The guardian (a small parent process that cleans up after a crash) is not built yet: with or without this,
        /// run is the trader itself.
        #[arg(long)]
        no_guard: bool,
    },
    /// The trader process itself, as `run --no-guard`
    #[command(hide = true, after_help = "Example:\n  lastorders trade")]
    Trade,
    /// How the running trader stands
    #[command(after_help = "\
Example:
  lastorders status
  lastorders status --json | jq .
  lastorders status --ready          as a readiness probe: exit code 0 or 1")]
    Status {
        /// For programs
        #[arg(long)]
        json: bool,
        /// Say whether it is ready, by words and exit code (0 ready, 1 not)
        #[arg(long)]
        ready: bool,
    },
    /// No new orders; cancel the quotes and prove it. The trader stays and watches
    #[command(after_help = "Example:\n  lastorders pause\n  lastorders pause --keep-orders")]
    Pause {
        /// Leave resting orders alone
        #[arg(long)]
        keep_orders: bool,
    },
    /// Trade again after a pause
    #[command(after_help = "Example:\n  lastorders resume")]
    Resume,
    /// Cancel everything of ours, prove it, then stay paused
    #[command(after_help = "Example:\n  lastorders cancel-all")]
    CancelAll,
    /// Trade again after a day's loss over the limit latched trading off; the loss counts anew from here
    #[command(after_help = "Example:\n  lastorders status        why it is latched off\n  lastorders rearm")]
    Rearm,
    /// Stop: cancel every order, prove that none is left, save, report, end
    #[command(after_help = "Example:\n  lastorders stop\n  lastorders report       what the stop did")]
    Stop,
    /// Stop in the same way, then begin again with the configuration as it is then
    #[command(after_help = "Example:\n  lastorders restart")]
    Restart,
    /// Check the configuration and print what is in effect
    #[command(after_help = "\
Example:
  lastorders config
  lastorders config > effective.toml       the output is a configuration file")]
    Config,
    /// Look at everything a run depends on; name each problem with its mend
    #[command(after_help = "\
Example:
  lastorders doctor
  MODE=LIVE lastorders doctor             asks the venues too: clock, key, instruments, open orders
  MODE=LIVE lastorders doctor --offline   asks nobody")]
    Doctor {
        /// Ask no venue
        #[arg(long)]
        offline: bool,
    },
    /// Write a small configuration with small limits
    #[command(after_help = "Example:\n  lastorders init\n  lastorders init --config my.toml")]
    Init,
    /// What the last stop did
    #[command(after_help = "Example:\n  lastorders report\n  lastorders report --json | jq .orders.remaining")]
    Report {
        /// The file as it is
        #[arg(long)]
        json: bool,
    },
    /// A local exchange to run LIVE against: real sockets, an invented market, faults to order
    #[command(after_help = EXCHANGE_AFTER)]
    Exchange(Box<ExchangeArguments>),
    /// A completion script for a shell
    #[command(after_help = "\
Example:
  lastorders completions bash > ~/.local/share/bash-completion/completions/lastorders
  lastorders completions zsh > \"${fpath[1]}/_lastorders\"")]
    Completions {
        /// For which shell
        shell: Shell,
    },
}

const EXCHANGE_AFTER: &str = "\
Example:
  lastorders exchange --listen 127.0.0.1:7800 --admin 127.0.0.1:7801

  It prints what to type in another terminal to trade there: a small file with limits, and
  MODE=LIVE LASTORDERS_CONFIG=local.toml \\
  BYBIT_REST_URL=http://127.0.0.1:7800 \\
  BYBIT_WS_PUBLIC_URL=ws://127.0.0.1:7800/v5/public/linear \\
  BYBIT_WS_PRIVATE_URL=ws://127.0.0.1:7800/v5/private \\
  BYBIT_API_KEY=local-key BYBIT_API_SECRET=local-secret \\
  lastorders run

Admin port (JSON over plain HTTP):
  curl -s 127.0.0.1:7801/health
  curl -s 127.0.0.1:7801/orders          live orders by account
  curl -s 127.0.0.1:7801/faults          how often each fault struck
  curl -s 127.0.0.1:7801/command -d '{\"command\":\"heal\"}'

It ends on SIGTERM or Ctrl-C with exit code 0. A start with the same ledger goes on with the same accounts and orders.";

/// How the local exchange is to be.
#[derive(Clone, Debug, Args)]
pub struct ExchangeArguments {
    /// Where clients connect, HTTP and WebSocket alike; port 0: any free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Where faults are ordered and orders are looked at
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    pub admin: SocketAddr,
    /// The exchange's memory, and the truth about what happened there
    #[arg(long, value_name = "FILE", default_value = "var/exchange/ledger.jsonl")]
    pub ledger: PathBuf,
    /// Whose API it speaks
    #[arg(long, value_name = "NAME", default_value = "bybit", value_parser = PossibleValuesParser::new(["bybit"]))]
    pub dialect: String,
    /// What is traded there, in our names, with commas between
    #[arg(long, value_name = "SYMBOLS", value_delimiter = ',', default_value = "BTC-USDT,BTC-USDT-PERP")]
    pub symbols: Vec<String>,
    /// A key of an account, as KEY:SECRET[:ACCOUNT[:FLAGS]]; may be given several times.
    ///
    /// ACCOUNT is a number (0 if left out; several keys may share one). FLAGS, with commas between: read-only, withdraw
    /// (the key says it may), switch (the account has the dead man's switch), hedge (the account is in hedge mode).
    /// Without any --key there is one pair, which is printed.
    #[arg(long = "key", value_name = "KEY:SECRET[:ACCOUNT[:FLAGS]]")]
    pub keys: Vec<String>,
    /// Same seed, same market
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// How long a request takes there, and its answer back, in milliseconds each
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub latency_ms: u32,
    /// Up to this much is added to each at random
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub latency_jitter_ms: u32,
    /// How busy the invented market is, per thousand; 0: nobody else trades
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub activity: u32,
    /// No rate limits
    #[arg(long, conflicts_with = "limits_scale")]
    pub no_limits: bool,
    /// Rate limits in percent of the usual ones
    #[arg(long, value_name = "PERCENT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limits_scale: u32,
    /// Written (JSON) once both ports take connections
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// Let other machines connect. Whoever reaches the ports can do everything
    #[arg(long)]
    pub allow_remote: bool,
    /// Print nothing
    #[arg(long)]
    pub quiet: bool,
}
