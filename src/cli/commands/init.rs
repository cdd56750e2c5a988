//! `init`: writes a small configuration with small limits.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::cli::config::FILE;
use crate::cli::console::Console;
use crate::cli::exit;
use crate::cli::place::shown;

/// What is written.
pub const MINIMAL: &str = r#"# A small lastorders configuration. `lastorders config` checks it; `lastorders run` trades it on paper.
# Every amount is a text, so that it is kept to the last digit. Secrets never go in here.

[[venue]]
name = "main"
kind = "sim"                       # the built-in, invented market; bybit for a real one
symbols = ["BTC-USDT"]

[[strategy]]
name = "mm"
kind = "market_maker"
symbols = ["BTC-USDT"]
levels = 2                         # quotes a side
spread_bps = "20"                  # between the best two, in hundredths of a percent
level_step_bps = "10"              # between two levels
order_qty = "0.0005"
max_position_qty = "0.002"

[risk]                             # in quote currency
max_order_notional = "50"
max_position_notional = "250"
max_open_orders = 10
max_orders_per_second = 5
max_daily_loss = "10"

[shutdown]
cancel_timeout_s = 30              # for cancelling every order and proving it
on_exit = "cancel"
"#;

/// Writes the file, unless there is one.
pub fn init(file: Option<&Path>, console: &mut Console<'_>) -> u8 {
    let path = file.unwrap_or(Path::new(FILE));
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = opened.and_then(|mut file| file.write_all(MINIMAL.as_bytes()).and_then(|()| file.sync_all()));
    match written {
        Ok(()) => {
            console.say(&format!(
                "Wrote {}.\nRead it, then: lastorders config (checks it), lastorders run (trades it on paper).",
                shown(path)
            ));
            exit::DONE
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            console.tell(&format!(
                "{} is there already and was left as it is.\nName another file: lastorders init --config my.toml",
                shown(path)
            ));
            exit::FAILED
        }
        Err(error) => {
            console.tell(&format!("{} could not be written: {error}.", shown(path)));
            exit::FAILED
        }
    }
}
