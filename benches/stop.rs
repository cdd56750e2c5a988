//! How long a stop takes, against the least it could take.
//!
//! **In virtual time** the real machines stop against the exchange model. Only waiting costs time there, so these
//! figures are exact and the same on every machine. Floor, as the venue bills cancels:
//! `max(round trip, (orders - burst) / cancels a second) + round trip / 2`; the second floor lets four workers send one
//! request each at a time, which is what the runtime has. "Work" is the real time all machines took for that stop: it
//! should grow with the orders, not with their square.
//!
//! **In real processes** the release binary rests orders on a still paper market, gets SIGTERM, and its ledger tells
//! when the last order closed. The floor is measured in the same run: the same number of orders cancelled through the
//! same paper exchange by four bare workers, with no machine and no journal (last close), then two listings and one file
//! sync (exit). Wanted: last cancel within 1.2 of its floor where waiting dominates, every proof `by_order`, exit 0.
//! At zero latency the floor is a few milliseconds, so a ratio says how much the daemon does besides; a hundred orders
//! should be gone, and the process with them, well under a second.

#![allow(clippy::disallowed_methods, reason = "a bench reads clocks, waits, and starts threads and the daemon")]

mod support;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lastorders::domain::event::{Event, SignalName};
use lastorders::domain::ids::{ClientOrderId, Epoch, Instance, StrategyLetter, Symbol, VenueId};
use lastorders::domain::money::Decimal;
use lastorders::domain::order::{OrderKey, Side, TimeInForce, VenueStatus};
use lastorders::domain::report::Report;
use lastorders::domain::request::{Call, Request, RequestId};
use lastorders::domain::settings::Settings;
use lastorders::domain::time::Boot;
use lastorders::exchange::{Ask, Emit, Exchange, Micros, NewOrder, Setup, Ticket};
use lastorders::runtime::channels::inbox;
use lastorders::runtime::paper::{PaperVenue, Source};
use lastorders::sim::settings::{ladder, quiet, venue};
use lastorders::sim::world::{ACCOUNT, World};
use rustix::process::{Pid, Signal, kill_process};
use support::{median, ratio, row, say, shown, table, timed};

const MINUTE: Duration = Duration::from_secs(60);
const WORKERS: u128 = 4;
/// The built-in market takes an acknowledged cancel off the book this much later.
const CANCEL_DELAY: Duration = Duration::from_millis(5);
const BATCH: u128 = 10;
const SYMBOL: &str = "BTC-USDT";
/// A paper venue that does not answer for this long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

// --- virtual time --------------------------------------------------------------------------------------------------

fn resting(n: u32, latency_ms: u32, cancels_per_second: u32) -> Settings {
    let mut settings = quiet();
    settings.strategies = vec![ladder("rungs", "main", n)];
    settings.venues[0].sim.latency_ms = latency_ms;
    settings.venues[0].sim.cancels_per_second = cancels_per_second;
    // Two workers take creates: what one strategy wants faster than they can send expires unsent.
    settings.risk.max_orders_per_second = 1_000_u32.checked_div(latency_ms).unwrap_or(100_000);
    settings
}

/// Counts a kind of line in the venue's ledger as it grows. (A listing of the model is a copy of all orders.)
struct Watch {
    kind: String,
    n_read: usize,
    n_found: usize,
}

impl Watch {
    fn new(kind: &str) -> Watch {
        Watch { kind: format!("\"kind\":\"{kind}\""), n_read: 0, n_found: 0 }
    }

    fn count(&mut self, world: &World) -> usize {
        let lines = &world.venues[0].ledger;
        self.n_found += lines[self.n_read..].iter().filter(|line| line.contains(&self.kind)).count();
        self.n_read = lines.len();
        self.n_found
    }
}

fn since(world: &World, begin: Boot) -> Duration {
    world.stamp().boot.since(begin)
}

fn virtual_stop(n: u32, latency_ms: u32, cancels_per_second: u32) -> Vec<String> {
    let mut world = World::new(resting(n, latency_ms, cancels_per_second));
    world.start().expect("an empty disk");
    let mut resting = Watch::new("resting");
    let rests = world.run_until(10 * MINUTE, |world| resting.count(world) == n as usize);
    if !rests {
        return row([&n.to_string(), "never rested"]);
    }
    world.run_for(Duration::from_secs(5));
    let begin = world.stamp().boot;
    let (took, last_cancel) = timed(|| {
        world.signal(SignalName::Term);
        // A signal wakes the loop; the world would wait for its next moment.
        world.step(0);
        let mut closed = Watch { n_read: world.venues[0].ledger.len(), ..Watch::new("closed") };
        let mut last_cancel = Duration::ZERO;
        world.run_until(2 * MINUTE, |world| {
            let before = closed.n_found;
            if closed.count(world) > before {
                last_cancel = since(world, begin);
            }
            world.verdict.is_some()
        });
        last_cancel
    });
    let whole = since(&world, begin);
    let code = world.verdict.as_ref().map_or("none".into(), |verdict| verdict.exit_code.to_string());
    let grade = world.report().map_or("no report".into(), |report| report.proof.grade);
    let rtt = Duration::from_millis(2 * u64::from(latency_ms));
    let by_bill = match u64::from(cancels_per_second) {
        0 => Duration::ZERO,
        rate => Duration::from_secs(u64::from(n).saturating_sub(rate)) / u32::try_from(rate).unwrap_or(1),
    };
    let rounds = u128::from(n).div_ceil(BATCH).div_ceil(WORKERS);
    let rounds = rtt.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX));
    let floor = rtt.max(by_bill) + rtt / 2 + CANCEL_DELAY;
    let with_workers = rounds.max(by_bill) + rtt / 2 + CANCEL_DELAY;
    let against = |floor: Duration| ratio(last_cancel.as_nanos(), floor.as_nanos());
    row([
        &n.to_string(),
        &format!("{latency_ms} ms"),
        &if cancels_per_second == 0 { "any".into() } else { cancels_per_second.to_string() },
        &shown(last_cancel),
        &shown(floor),
        &against(floor),
        &against(with_workers),
        &shown(whole),
        &grade,
        &code,
        &shown(took),
    ])
}

fn in_virtual_time() {
    let head = row([
        "orders",
        "latency",
        "cancels/s",
        "last cancel",
        "floor",
        "ratio",
        "4 workers",
        "whole stop",
        "proof",
        "code",
        "work",
    ]);
    let mut rows = vec![head];
    for (latency_ms, cancels_per_second) in [(0, 0), (20, 0), (20, 100)] {
        for n in [1, 10, 100, 1_000] {
            rows.push(virtual_stop(n, latency_ms, cancels_per_second));
        }
    }
    rows.push(virtual_stop(10_000, 0, 0));
    table("A stop in virtual time (latency: one way; the floor includes the venue's 5 ms for a cancel)", &rows);
}

// --- real processes ------------------------------------------------------------------------------------------------

fn wall_us() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX)
}

/// When the last order closed, by the ledger.
fn last_closed_us(ledger: &Path) -> i64 {
    let text = fs::read_to_string(ledger).unwrap_or_default();
    let closed = text.lines().rev().find(|line| line.contains("\"kind\":\"closed\""));
    let value: serde_json::Value = closed.and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    let number = |key: &str| value.get(key).and_then(serde_json::Value::as_i64).unwrap_or(0);
    number("t_ms") * 1_000 + number("us")
}

fn n_resting(ledger: &Path) -> usize {
    fs::read_to_string(ledger).unwrap_or_default().matches("\"kind\":\"resting\"").count()
}

fn micros(us: i64) -> Duration {
    Duration::from_micros(u64::try_from(us).unwrap_or(0))
}

fn config(n: u32) -> String {
    format!(
        r#"
[[venue]]
name = "main"
kind = "sim"
symbols = ["{SYMBOL}"]

[venue.sim]
activity = 0

[[strategy]]
name = "rungs"
kind = "ladder"
symbols = ["{SYMBOL}"]
side = "buy"
start_price = "40000"
step = "1"
rungs = {n}
order_qty = "0.001"

[risk]
max_order_notional = "1000"
max_position_notional = "100000000"
max_open_orders = 20000
max_orders_per_second = 100000
collar_away_bps = "9900"
max_daily_loss = "100000"
"#
    )
}

/// A stop of the real binary: until the last order closed, until the process had ended, and its report.
struct RealStop {
    last_cancel: Duration,
    exit: Duration,
    code: String,
    report: Option<Report>,
    state_bytes: Vec<u8>,
}

fn start(folder: &Path, n: u32) -> std::io::Result<Child> {
    fs::write(folder.join("lastorders.toml"), config(n))?;
    let stderr = File::create(folder.join("err"))?;
    Command::new(env!("CARGO_BIN_EXE_lastorders"))
        .arg("run")
        .env_clear()
        .current_dir(folder)
        .env("HOME", folder)
        .env("XDG_RUNTIME_DIR", folder)
        .env("LASTORDERS_CONFIG", folder.join("lastorders.toml"))
        .env("LASTORDERS_STATE_DIR", folder.join("state"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
}

fn real_stop(n: u32) -> std::io::Result<RealStop> {
    let folder = tempfile::tempdir()?;
    let mut child = start(folder.path(), n)?;
    let ledger = folder.path().join("state/paper/main.jsonl");
    // Nobody ever sends here: waiting on it is a pause. Nothing is judged by one; a bench only measures.
    let (_hold, nothing) = crossbeam_channel::bounded::<()>(0);
    let deadline = Instant::now() + MINUTE;
    while n_resting(&ledger) < n as usize {
        if Instant::now() > deadline || child.try_wait()?.is_some() {
            let words = fs::read_to_string(folder.path().join("err")).unwrap_or_default();
            child.kill()?;
            child.wait()?;
            return Err(std::io::Error::other(format!("{n} orders never rested:\n{words}")));
        }
        let _ = nothing.recv_timeout(Duration::from_millis(50));
    }
    // No create left lately: the proof goes by order.
    let _ = nothing.recv_timeout(Duration::from_millis(1_200));
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(0)).expect("a child has a pid");
    let (began, signalled_us) = (Instant::now(), wall_us());
    kill_process(pid, Signal::TERM)?;
    let status = child.wait()?;
    let exit = began.elapsed();
    let last_cancel = micros(last_closed_us(&ledger) - signalled_us);
    let report = fs::read(folder.path().join("state/last_shutdown.json")).unwrap_or_default();
    Ok(RealStop {
        last_cancel,
        exit,
        code: status.code().map_or("signal".into(), |code| code.to_string()),
        report: serde_json::from_slice(&report).ok(),
        state_bytes: fs::read(folder.path().join("state/state.json")).unwrap_or_default(),
    })
}

/// The same without a daemon: four bare workers cancel in batches; two listings; one file made safe.
struct Floor {
    last_cancel: Duration,
    one_request: Duration,
    rest: Duration,
}

fn client_id(n: u32) -> ClientOrderId {
    let letter = StrategyLetter::nth(0).expect("the first letter");
    ClientOrderId::new(Instance::from_chance(1), Epoch(1), letter, n).expect("a small number")
}

/// A ledger in which `n` orders rest, as a daemon that died would leave it.
fn write_ledger(place: &Path, n: u32) -> std::io::Result<()> {
    let settings = venue("main");
    let mut exchange = Exchange::new(Setup::from_settings(&settings.sim, &settings.symbols));
    let now = Micros::new(wall_us());
    for number in 0..n {
        let order = NewOrder {
            client_id: client_id(number).as_str().to_owned(),
            symbol: Symbol::new(SYMBOL),
            side: Side::Buy,
            price: Decimal::whole(40_000 - i64::from(number)),
            qty: Decimal::from_units(Decimal::ONE.units() / 1_000),
            time_in_force: TimeInForce::PostOnly,
            not_after: None,
        };
        exchange.submit(now, ACCOUNT, Ticket(u64::from(number) + 1), Ask::Create(order));
    }
    let mut emitted = Vec::new();
    exchange.advance(now, &mut emitted);
    let mut file = File::create(place)?;
    for emit in emitted {
        if let Emit::Ledger(line) = emit {
            writeln!(file, "{line}")?;
        }
    }
    Ok(())
}

fn request(call: Call) -> Request {
    Request { id: RequestId(1), venue: VenueId(0), call, not_after: Boot::NEVER }
}

fn batches(n: u32) -> VecDeque<Request> {
    let key = |number| OrderKey {
        venue: VenueId(0),
        symbol: Symbol::new(SYMBOL),
        client_id: client_id(number),
        venue_order_id: None,
    };
    let keys: Vec<OrderKey> = (0..n).map(key).collect();
    keys.chunks(BATCH as usize)
        .map(|chunk| match chunk {
            [one] => request(Call::Cancel(one.clone())),
            several => request(Call::CancelBatch(several.to_vec())),
        })
        .collect()
}

fn floor(n: u32, state_bytes: &[u8]) -> std::io::Result<Floor> {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("main.jsonl");
    write_ledger(&place, n)?;
    let (mut inbox, events, quotes) = inbox();
    let opened = PaperVenue::open(
        folder.path(),
        VenueId(0),
        &venue("main"),
        Source::Invented { also: Vec::new() },
        events,
        quotes,
    );
    let paper = opened.map_err(|error| std::io::Error::other(error.to_string()))?;
    // The ends of the cuts are kept: one that is gone would count as a cut.
    let mut cuts = Vec::new();
    let mut way = || {
        let (cut, severed) = crossbeam_channel::bounded(1);
        cuts.push(cut);
        paper.transport(severed)
    };
    let mut first = way();
    // The first request finds everything cold; the daemon's way is warm too.
    first.call(&request(Call::Time));
    let (one_request, _) = timed(|| first.call(&request(Call::Time)));
    let waiting = Arc::new(Mutex::new(batches(n)));
    let mut workers = Vec::new();
    let began_us = wall_us();
    for _ in 0..WORKERS {
        let (waiting, mut way) = (Arc::clone(&waiting), way());
        workers.push(std::thread::spawn(move || {
            while let Some(batch) = waiting.lock().ok().and_then(|mut waiting| waiting.pop_front()) {
                way.call(&batch);
            }
        }));
    }
    let mut n_ended = 0;
    let deadline = Instant::now() + PATIENCE;
    while n_ended < n && Instant::now() < deadline {
        for event in inbox.next_batch(Duration::from_millis(50)) {
            if let Event::Order(_, row) = event
                && matches!(row.status, VenueStatus::Ended(_))
            {
                n_ended += 1;
            }
        }
    }
    let last_cancel = micros(last_closed_us(&place) - began_us);
    for worker in workers {
        let _ = worker.join();
    }
    let (rest, ()) = timed(|| {
        for _ in 0..2 {
            first.call(&request(Call::ListOpen(None)));
        }
        if let Err(error) = save(folder.path(), state_bytes) {
            say(&format!("no file could be saved: {error}"));
        }
    });
    Ok(Floor { last_cancel, one_request, rest })
}

fn save(folder: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(folder.join("state.json.new"))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(folder.join("state.json.new"), folder.join("state.json"))?;
    File::open(folder)?.sync_all()
}

const TRIES: usize = 3;

fn in_real_processes() -> std::io::Result<()> {
    let mut rows = vec![row([
        "orders",
        "last cancel",
        "floor",
        "ratio",
        "exit",
        "floor",
        "ratio",
        "cancel ms",
        "prove ms",
        "proof",
        "code",
        "one request",
    ])];
    for n in [1, 10, 100, 1_000] {
        let (mut stops, mut floors) = (Vec::new(), Vec::new());
        for _ in 0..TRIES {
            let stop = real_stop(n)?;
            floors.push(floor(n, &stop.state_bytes)?);
            stops.push(stop);
        }
        let of_stops = |part: fn(&RealStop) -> Duration| median(&stops.iter().map(part).collect::<Vec<_>>());
        let of_floors = |part: fn(&Floor) -> Duration| median(&floors.iter().map(part).collect::<Vec<_>>());
        let (last, exit) = (of_stops(|stop| stop.last_cancel), of_stops(|stop| stop.exit));
        let last_floor = of_floors(|floor| floor.last_cancel);
        let exit_floor = of_floors(|floor| floor.last_cancel + floor.rest);
        let step = |name: &str| {
            let ms = |stop: &RealStop| {
                stop.report.as_ref()?.steps.iter().find(|step| step.name == name).map(|step| step.ms.to_string())
            };
            stops.iter().map(|stop| ms(stop).unwrap_or("-".into())).collect::<Vec<_>>().join("/")
        };
        let words = |part: fn(&RealStop) -> String| {
            let mut words: Vec<String> = stops.iter().map(part).collect();
            words.dedup();
            words.join("/")
        };
        rows.push(row([
            &n.to_string(),
            &shown(last),
            &shown(last_floor),
            &ratio(last.as_nanos(), last_floor.as_nanos()),
            &shown(exit),
            &shown(exit_floor),
            &ratio(exit.as_nanos(), exit_floor.as_nanos()),
            &step("cancel"),
            &step("prove"),
            &words(|stop| stop.report.as_ref().map_or("no report".into(), |report| report.proof.grade.clone())),
            &words(|stop| stop.code.clone()),
            &shown(of_floors(|floor| floor.one_request)),
        ]));
    }
    table("A stop of the real binary at zero latency (median of three; floors measured in between)", &rows);
    Ok(())
}

fn main() {
    if std::env::args().any(|word| word == "--profile") {
        // For a profiler: the largest stop alone.
        table("A stop in virtual time", &[virtual_stop(10_000, 0, 0)]);
        return;
    }
    in_virtual_time();
    if let Err(error) = in_real_processes() {
        say(&format!("the real processes could not be measured: {error}"));
    }
}
