//! How long a LIVE stop takes against what it cannot be faster than: the real binary, real sockets, the local exchange.
//!
//! For each way (own orders by single and batch cancels; an account that is ours alone, by cancel-all), with the
//! exchange's usual limits and without, at two round trips: the last cancel that reached the exchange and the end of the
//! process, both from the signal on, against the floor of the same run:
//!
//! - last cancel: the longer of one round trip and the time the limits take, and half a round trip,
//! - end: the same, two listings and one file sync more.
//!
//! Prints a table. Nothing fails because a machine was busy. `cargo bench --bench live_stop`; numbers after `--` choose
//! other sizes than 1, 10, 100 and 300.

#![allow(clippy::disallowed_methods, reason = "a bench measures")]

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

type Outcome<T> = Result<T, Box<dyn Error>>;

const BINARY: &str = env!("CARGO_BIN_EXE_lastorders");
const PATIENCE: Duration = Duration::from_secs(120);
/// Orders of linear contracts a second, single and batch cancels together, and as many at once.
const RATE: u32 = 20;
/// Scopes a listing asks for: spot, and two currencies contracts are settled in.
const SCOPES: u32 = 3;

#[derive(Clone, Copy)]
struct Case {
    n_orders: u32,
    one_way_ms: u32,
    has_limits: bool,
    is_exclusive: bool,
}

struct Measured {
    round_trip: Duration,
    sync: Duration,
    last_cancel: Duration,
    end: Duration,
    exit_code: i32,
    n_left: usize,
}

fn main() -> Outcome<()> {
    let sizes: Vec<u32> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![1, 10, 100, 300] } else { sizes };
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{:>16} {:>7} {:>5} {:>6} | {:>9} {:>9} {:>6} | {:>9} {:>9} {:>6} | exit left",
        "way", "limits", "rtt", "orders", "last", "floor", "ratio", "end", "floor", "ratio"
    )?;
    for is_exclusive in [false, true] {
        for has_limits in [false, true] {
            for one_way_ms in [0, 25] {
                for n_orders in sizes.iter().copied() {
                    let case = Case { n_orders, one_way_ms, has_limits, is_exclusive };
                    let measured = run(case)?;
                    row(&mut out, case, &measured)?;
                }
            }
        }
    }
    Ok(())
}

fn row(out: &mut impl Write, case: Case, measured: &Measured) -> Outcome<()> {
    let waiting = match case.is_exclusive || !case.has_limits {
        true => Duration::ZERO,
        false => Duration::from_millis(u64::from(case.n_orders.saturating_sub(RATE)) * 1_000 / u64::from(RATE)),
    };
    let last_floor = measured.round_trip.max(waiting) + measured.round_trip / 2;
    let end_floor = last_floor + measured.round_trip * SCOPES * 2 + measured.sync;
    let ratio = |one: Duration, floor: Duration| one.as_micros() * 100 / floor.as_micros().max(1);
    let hundredths = |ratio: u128| format!("{}.{:02}", ratio / 100, ratio % 100);
    let millis = |span: Duration| format!("{}.{} ms", span.as_millis(), span.as_micros() / 100 % 10);
    writeln!(
        out,
        "{:>16} {:>7} {:>5} {:>6} | {:>9} {:>9} {:>6} | {:>9} {:>9} {:>6} | {:>4} {:>4}",
        if case.is_exclusive { "exclusive" } else { "own orders" },
        if case.has_limits { "usual" } else { "none" },
        case.one_way_ms * 2,
        case.n_orders,
        millis(measured.last_cancel),
        millis(last_floor),
        hundredths(ratio(measured.last_cancel, last_floor)),
        millis(measured.end),
        millis(end_floor),
        hundredths(ratio(measured.end, end_floor)),
        measured.exit_code,
        measured.n_left
    )?;
    Ok(out.flush()?)
}

/// A child that does not outlive its case.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(case: Case) -> Outcome<Measured> {
    let folder = tempfile::tempdir()?;
    let ledger = folder.path().join("ledger.jsonl");
    let ready = folder.path().join("ready.json");
    let mut exchange = Command::new(BINARY);
    exchange.args(["exchange", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--activity", "0", "--quiet"]);
    exchange.args(["--key", "bench-key:bench-secret", "--latency-ms", &case.one_way_ms.to_string()]);
    exchange.arg("--ledger").arg(&ledger).arg("--ready-file").arg(&ready);
    if !case.has_limits {
        exchange.arg("--no-limits");
    }
    let _exchange = Process(exchange.stderr(Stdio::null()).spawn()?);
    let ports: serde_json::Value =
        wait_for("the exchange", || serde_json::from_str(&fs::read_to_string(&ready).ok()?).ok())?;
    let listen = ports["listen"].as_str().ok_or("no address in the ready file")?.to_owned();

    let config = folder.path().join("lastorders.toml");
    fs::write(&config, configuration(case))?;
    let state = folder.path().join("state");
    let mut trader = Command::new(BINARY);
    trader.arg("run").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir(folder.path());
    for (name, value) in [
        ("MODE", "LIVE".to_owned()),
        ("LASTORDERS_CONFIG", config.display().to_string()),
        ("LASTORDERS_STATE_DIR", state.display().to_string()),
        ("BYBIT_API_KEY", "bench-key".to_owned()),
        ("BYBIT_API_SECRET", "bench-secret".to_owned()),
        ("BYBIT_REST_URL", format!("http://{listen}")),
        ("BYBIT_WS_PUBLIC_URL", format!("ws://{listen}/v5/public/linear")),
        ("BYBIT_WS_PRIVATE_URL", format!("ws://{listen}/v5/private")),
    ] {
        trader.env(name, value);
    }
    let mut trader = Process(trader.spawn()?);
    let wanted = case.n_orders as usize;
    wait_for("the orders", || (live_orders(&ledger).len() == wanted).then_some(()))?;
    // Creates count as under way for their deadline and the lag; a stop after that proves by order.
    wait(Duration::from_millis(4_500));
    if live_orders(&ledger).len() != wanted {
        return Err("the orders did not stay".into());
    }
    let round_trip = round_trip(&listen)?;
    let sync = file_sync(folder.path())?;

    let signalled = Instant::now();
    let signalled_us = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?;
    let pid = trader.0.id().to_string();
    Command::new("kill").args(["-TERM", &pid]).status()?;
    let exit = trader.0.wait()?;
    let end = signalled.elapsed();
    let last_us = last_cancel(&ledger)?;
    Ok(Measured {
        round_trip,
        sync,
        last_cancel: Duration::from_micros(u64::try_from(last_us - signalled_us).unwrap_or(0)),
        end,
        exit_code: exit.code().unwrap_or(-1),
        n_left: live_orders(&ledger).len(),
    })
}

fn configuration(case: Case) -> String {
    // Slower than the exchange's limit on creates, where there is one.
    let (per_second, multiple) = if case.has_limits { (8, 1) } else { (1_000, 1_000) };
    format!(
        r#"instance = "b0b0"
[[venue]]
name = "main"
kind = "bybit"
symbols = ["BTC-USDT-PERP"]
exclusive_account = {}
rate_multiple = {multiple}
[[strategy]]
name = "rungs"
kind = "ladder"
symbols = ["BTC-USDT-PERP"]
side = "buy"
start_offset_bps = 100
step = "1"
rungs = {}
order_qty = "0.001"
[risk]
max_order_notional = "1000"
max_position_notional = "1000000"
max_open_orders = 400
max_orders_per_second = {per_second}
collar_through_bps = 100
collar_away_bps = 5000
max_daily_loss = "100000"
"#,
        case.is_exclusive, case.n_orders
    )
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Outcome<T> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(seen) = look() {
            return Ok(seen);
        }
        wait(Duration::from_millis(50));
    }
    Err(format!("waited too long for {what}").into())
}

/// A wait on something that never comes: time is what is measured here.
fn wait(span: Duration) {
    let (_keep, never) = crossbeam_channel::bounded::<()>(0);
    let _ = never.recv_timeout(span);
}

fn lines(ledger: &Path) -> Vec<serde_json::Value> {
    let Ok(file) = fs::File::open(ledger) else { return Vec::new() };
    BufReader::new(file).lines().map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok()).collect()
}

/// Orders that rest at the exchange, by its own ledger.
fn live_orders(ledger: &Path) -> std::collections::BTreeSet<String> {
    let mut live = std::collections::BTreeSet::new();
    for line in lines(ledger) {
        let id = line["client_id"].as_str().unwrap_or_default().to_owned();
        match line["kind"].as_str() {
            Some("resting") => drop(live.insert(id)),
            Some("closed") => drop(live.remove(&id)),
            _ => {}
        }
    }
    live
}

/// When the last request that cancels reached the exchange, in microseconds since 1970.
fn last_cancel(ledger: &Path) -> Outcome<i64> {
    let cancels = |line: &serde_json::Value| {
        line["kind"] == "request"
            && matches!(line["what"].as_str(), Some("cancel" | "cancel_batch" | "cancel_all" | "cancel_scope"))
    };
    let moment = |line: &serde_json::Value| Some(line["t_ms"].as_i64()? * 1_000 + line["us"].as_i64()?);
    lines(ledger).iter().filter(|line| cancels(line)).filter_map(moment).max().ok_or_else(|| "no cancel arrived".into())
}

/// The quickest of several questions on one open connection.
fn round_trip(listen: &str) -> Outcome<Duration> {
    let mut stream = TcpStream::connect(listen)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut best = Duration::MAX;
    let mut buffer = vec![0; 16_384];
    for _ in 0..20 {
        let began = Instant::now();
        stream.write_all(format!("GET /v5/market/time HTTP/1.1\r\nHost: {listen}\r\n\r\n").as_bytes())?;
        if stream.read(&mut buffer)? == 0 {
            return Err("the exchange closed the connection".into());
        }
        best = best.min(began.elapsed());
    }
    Ok(best)
}

/// The quickest of several writes and syncs of a small file.
fn file_sync(folder: &Path) -> Outcome<Duration> {
    let mut file = fs::File::create(folder.join("sync"))?;
    let mut best = Duration::MAX;
    for _ in 0..10 {
        let began = Instant::now();
        file.write_all(&[b'x'; 4_096])?;
        file.sync_all()?;
        best = best.min(began.elapsed());
    }
    Ok(best)
}
