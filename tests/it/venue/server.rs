//! The local exchange over real sockets: what a client sees, and what the ledger says of it.

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use super::client::{Client, Key, Outcome, Socket, resting};
use super::exchange::{Exchange, KEY, SECRET, key};
use crate::harness::daemon::Exit;
use crate::harness::wait;

const SHORT: Duration = Duration::from_millis(400);
pub(super) const CREATE: &str = "/v5/order/create";
pub(super) const CANCEL: &str = "/v5/order/cancel";
pub(super) const REALTIME: &str = "/v5/order/realtime";

/// No limits, no crowd: what is asked for is all that happens.
pub(super) const STILL: [&str; 3] = ["--activity", "0", "--no-limits"];

pub(super) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

pub(super) fn create(client: &mut Client, client_id: &str) -> String {
    let result = client.post(CREATE, &resting(client_id, "40000")).answer().result();
    assert_eq!(result["orderLinkId"], client_id);
    result["orderId"].as_str().expect("an order id").to_owned()
}

pub(super) fn cancel(client: &mut Client, client_id: &str) -> Outcome {
    client.post(CANCEL, &json!({"category": "linear", "symbol": "BTCUSDT", "orderLinkId": client_id}))
}

fn listed(client: &mut Client) -> BTreeSet<String> {
    let result = client.get(REALTIME, "category=linear&symbol=BTCUSDT&limit=50").answer().result();
    let rows = result["list"].as_array().expect("rows");
    rows.iter().map(|row| row["orderLinkId"].as_str().expect("our id").to_owned()).collect()
}

fn wait_until_listed(client: &mut Client, wanted: &[&str]) {
    let wanted: BTreeSet<String> = wanted.iter().map(|id| (*id).to_owned()).collect();
    let seen = wait::until(Duration::from_secs(30), "the listing", || (listed(client) == wanted).then_some(()));
    seen.unwrap_or_else(|why| panic!("{why}: wanted {wanted:?}, found {:?}", listed(client)));
}

fn assert_whole(exchange: &Exchange) {
    let findings = exchange.ledger().book.findings;
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn an_order_is_placed_listed_cancelled_and_told_of_over_real_sockets() {
    let folder = folder();
    let exchange = Exchange::start(folder.path(), &STILL);
    let mut client = exchange.client();
    let mut stream = exchange.private(&["order"]);
    let order_id = create(&mut client, "lo-one");
    let row = stream.wait_for_row("order", "lo-one", |_| true);
    assert_eq!((&row["orderStatus"], &row["orderId"]), (&json!("New"), &json!(order_id)));
    wait_until_listed(&mut client, &["lo-one"]);
    assert_eq!(exchange.ledger().live_of(0).into_iter().collect::<Vec<_>>(), ["lo-one"]);
    let result = cancel(&mut client, "lo-one").answer().result();
    assert_eq!(result["orderId"], json!(order_id));
    let row = stream.wait_for_row("order", "lo-one", |row| row["orderStatus"] != "New");
    assert_eq!((&row["orderStatus"], &row["cancelType"]), (&json!("Cancelled"), &json!("CancelByUser")));
    wait_until_listed(&mut client, &[]);
    let ledger = exchange.ledger();
    assert!(ledger.live().is_empty());
    assert_eq!(ledger.order_of("lo-one").expect("it was accepted").reason, "cancelled");
    assert_whole(&exchange);
}

#[test]
fn what_was_told_stands_in_the_ledger_already() {
    let folder = folder();
    let exchange = Exchange::start(folder.path(), &STILL);
    let mut client = exchange.client();
    for number in 0..50 {
        let id = format!("lo-{number}");
        create(&mut client, &id);
        // Not waited for: the answer is here, so the line must be.
        assert!(exchange.ledger().has_order(&id), "{id} was answered before it was written");
    }
    assert_whole(&exchange);
}

#[test]
fn who_does_not_sign_rightly_is_refused() {
    let folder = folder();
    let exchange = Exchange::start(folder.path(), &STILL);
    for (key, code) in [(Key::new("nobody", SECRET), 10_003), (Key::new(KEY, "wrong"), 10_004)] {
        let answer = Client::new(exchange.address(), Some(key)).post(CREATE, &resting("lo-no", "40000")).answer();
        assert_eq!(answer.code(), code);
    }
    assert!(!exchange.ledger().has_order("lo-no"));
}

#[test]
fn a_fill_comes_by_both_streams_and_stands_in_the_ledger() {
    let folder = folder();
    let exchange = Exchange::start(folder.path(), &["--no-limits"]);
    let mut client = exchange.client();
    let mut stream = exchange.private(&["order", "execution"]);
    let mut taking = resting("lo-take", "70000");
    taking["timeInForce"] = json!("IOC");
    client.post(CREATE, &taking).answer().result();
    let row = stream.wait_for_row("execution", "lo-take", |_| true);
    let ledger = exchange.ledger();
    let fill = ledger.fill_of(row["execId"].as_str().expect("an id")).expect("the fill in the ledger");
    assert_eq!((fill.client_id.as_str(), fill.is_buy, &row["side"]), ("lo-take", true, &json!("Buy")));
    stream.wait_for_row("order", "lo-take", |row| row["orderStatus"] == "Filled");
    // And the same by asking.
    let result = client.get("/v5/execution/list", "category=linear&symbol=BTCUSDT").answer().result();
    assert_eq!(result["list"][0]["execId"], row["execId"]);
    assert_whole(&exchange);
}

#[test]
fn the_public_stream_shows_a_book() {
    let folder = folder();
    let exchange = Exchange::start(folder.path(), &[]);
    let mut socket = Socket::open(exchange.address(), "/v5/public/linear");
    socket.subscribe(&["orderbook.50.BTCUSDT"]);
    let frame = socket.wait_for("a snapshot", |frame| frame["topic"] == "orderbook.50.BTCUSDT");
    assert_eq!(frame["type"], "snapshot");
    assert!(!frame["data"]["b"].as_array().expect("bids").is_empty());
}

#[test]
fn two_hundred_clients_at_once_are_all_served() {
    let folder = folder();
    let exchange = Exchange::start(folder.path(), &STILL);
    let address = exchange.address();
    std::thread::scope(|scope| {
        for number in 0..200 {
            scope.spawn(move || {
                let mut client = Client::new(address, Some(key()));
                let id = format!("lo-{number}");
                create(&mut client, &id);
                if number % 2 == 0 {
                    cancel(&mut client, &id).answer().result();
                }
            });
        }
    });
    let left = exchange.wait_for("every other order to be left", |ledger| {
        let live = ledger.live_of(0);
        (live.len() == 100).then_some(live)
    });
    assert!(left.contains("lo-1") && !left.contains("lo-0"));
    assert_eq!(exchange.ledger().book.orders.len(), 200);
    assert_whole(&exchange);
}

#[test]
fn a_killed_exchange_comes_back_with_its_accounts_and_orders() {
    let folder = folder();
    let mut exchange = Exchange::start(folder.path(), &[&STILL[..], &["--key", "other:secret:1"]].concat());
    let address = exchange.address().to_string();
    let mut client = exchange.client();
    let mut other = Client::new(exchange.address(), Some(Key::new("other", "secret")));
    let order_id = create(&mut client, "lo-stays");
    create(&mut client, "lo-goes");
    create(&mut other, "ot-stays");
    cancel(&mut client, "lo-goes").answer().result();
    wait_until_listed(&mut client, &["lo-stays"]);
    exchange.kill();
    // Half a line, as a kill in the middle of a write leaves it.
    let mut ledger = std::fs::OpenOptions::new().append(true).open(exchange.ledger_path()).expect("the ledger");
    std::io::Write::write_all(&mut ledger, b"{\"seq\":").expect("room");
    drop(ledger);
    let exchange = Exchange::start_at(folder.path(), &address, &[&STILL[..], &["--key", "other:secret:1"]].concat());
    wait_until_listed(&mut exchange.client(), &["lo-stays"]);
    wait_until_listed(&mut Client::new(exchange.address(), Some(Key::new("other", "secret"))), &["ot-stays"]);
    let result = cancel(&mut exchange.client(), "lo-stays").answer().result();
    assert_eq!(result["orderId"], json!(order_id), "the venue's own name for it is the same");
    let again = exchange.client().post(CREATE, &resting("lo-goes", "40000")).answer();
    assert_eq!(again.code(), 110_072, "an id that was used is remembered");
    exchange.wait_for("no order of it to be left", |ledger| ledger.live_of(0).is_empty().then_some(()));
    // The one finding is the create that this very test has sent twice, on purpose.
    assert_eq!(exchange.ledger().book.findings, ["a create of lo-goes arrived a second time"]);
}

#[test]
fn a_signal_ends_it_with_exit_code_0_and_a_whole_ledger() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = folder();
        let mut exchange = Exchange::start(folder.path(), &STILL);
        let mut client = exchange.client();
        create(&mut client, "lo-one");
        let mut stream = exchange.private(&["order"]);
        exchange.signal(signal);
        assert_eq!(exchange.wait_exit(), Exit { code: Some(0), signal: None }, "{}", exchange.printed());
        stream.wait_for_end();
        assert!(!folder.path().join("ready.json").exists(), "nobody is to find it any more");
        assert_eq!(exchange.ledger().live_of(0).len(), 1);
        assert_whole(&exchange);
    }
}

#[test]
fn a_venue_that_cannot_write_its_ledger_is_silent_and_what_it_had_told_is_kept() {
    let folder = folder();
    let mut exchange = Exchange::start_with_full_disk_at(folder.path(), 20_480, &STILL);
    let mut client = exchange.client().with_patience(Duration::from_secs(2));
    let mut told = BTreeSet::new();
    let silent = loop {
        let id = format!("lo-{}", told.len());
        assert!(told.len() < 200, "the disk is never full");
        match client.post(CREATE, &resting(&id, "40000")) {
            Outcome::Answer(answer) if answer.code() == 0 => told.insert(id),
            other => break other,
        };
    };
    assert!(!told.is_empty());
    assert_eq!(silent, Outcome::Silent(Vec::new()));
    assert_eq!(exchange.look("health")["ledger_writable"], false);
    assert_eq!(exchange.client().with_patience(SHORT).get("/v5/market/time", ""), Outcome::Silent(Vec::new()));
    assert_eq!(exchange.terminate().code, Some(1), "the end of its ledger is missing: {}", exchange.printed());
    let exchange = Exchange::start(folder.path(), &STILL);
    let live = exchange.ledger().live_of(0);
    assert!(told.is_subset(&live), "told and lost: {:?}", told.difference(&live));
    assert!(exchange.answers());
    assert_whole(&exchange);
}

#[test]
fn a_damaged_ledger_is_refused_and_left_alone() {
    let folder = folder();
    let place = folder.path().join("ledger.jsonl");
    let damaged = "{\"seq\":1,\"t_ms\":1,\"kind\":\"meta\",\"sum\":\"00000000\"}\n{}\n";
    std::fs::write(&place, damaged).expect("a file");
    let output = run(folder.path(), &["--ledger", "ledger.jsonl"]);
    assert_eq!(output.0, Some(1));
    assert!(output.1.contains("line 1") && output.1.contains("damaged"), "{}", output.1);
    assert_eq!(std::fs::read_to_string(&place).expect("the file"), damaged);
}

#[test]
fn other_machines_are_kept_out_and_mistakes_are_told_all_at_once() {
    let folder = folder();
    let words = ["--listen", "0.0.0.0:0", "--symbols", "BTCUSDT", "--key", "only-a-key", "--key", "a:canary-secret:x"];
    let (code, printed) = run(folder.path(), &words);
    assert_eq!(code, Some(2));
    for part in ["--allow-remote", "BTC-USDT-PERP", "number 1", "number 2"] {
        assert!(printed.contains(part), "{part} is missing in:\n{printed}");
    }
    assert!(!printed.contains("canary"), "{printed}");
    assert!(!folder.path().join("var").exists(), "nothing was begun");
}

#[test]
fn a_second_exchange_on_the_same_ledger_is_refused() {
    let folder = folder();
    let exchange = Exchange::start(folder.path(), &STILL);
    let (code, printed) = run(folder.path(), &["--ledger", "ledger.jsonl"]);
    assert_eq!(code, Some(1));
    assert!(printed.contains("another process"), "{printed}");
    assert!(exchange.answers());
}

#[test]
fn it_prints_how_to_trade_against_it_but_no_secret_that_was_handed_in() {
    let folder = folder();
    let mut exchange = Exchange::start(folder.path(), &STILL);
    wait::until(Duration::from_secs(30), "the banner", || exchange.printed().contains("lastorders run").then_some(()))
        .unwrap_or_else(|why| panic!("{why}"));
    let printed = exchange.printed();
    assert!(printed.contains("INVENTED"), "{printed}");
    for (name, value) in exchange.environment() {
        let shown = if value == SECRET { "..." } else { value.as_str() };
        assert!(printed.contains(&format!("{name}={shown}")), "{name} is missing in:\n{printed}");
    }
    assert!(!printed.contains(SECRET), "{printed}");
    exchange.terminate();
}

#[test]
fn what_it_prints_runs_as_it_stands() {
    let folder = folder();
    // A key of its own: traders with one key keep each other out.
    let words = ["--symbols", "ETH-USDT,BTC-USDT-PERP", "--key", "typed-key:typed-secret:1"];
    let mut exchange = Exchange::start(folder.path(), &words);
    wait::until(Duration::from_secs(30), "the banner", || exchange.printed().contains("lastorders run").then_some(()))
        .unwrap_or_else(|why| panic!("{why}"));
    let printed = exchange.printed();
    let (_, typed) = printed.split_once("in another terminal:").expect("it says where");
    let place = folder.path().join("elsewhere");
    std::fs::create_dir(&place).unwrap();
    let script = typed
        .replace("lastorders run", &format!("exec '{}' run", env!("CARGO_BIN_EXE_lastorders")))
        .replace(&format!("BYBIT_API_KEY={KEY}"), "BYBIT_API_KEY=typed-key")
        .replace("BYBIT_API_SECRET=...          as you gave it", "BYBIT_API_SECRET=typed-secret");
    let mut shell = std::process::Command::new("sh");
    shell.arg("-e").arg("-c").arg(script).current_dir(&place).stderr(std::process::Stdio::null());
    let mut trader = shell.spawn().unwrap();
    exchange.wait_for("an order", |ledger| (!ledger.live().is_empty()).then_some(()));
    let pid = rustix::process::Pid::from_child(&trader);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let exit = trader.wait().unwrap();
    assert_eq!(exit.code(), Some(0));
    assert!(exchange.ledger().live().is_empty());
    exchange.terminate();
}

#[test]
fn the_admin_port_shows_orders_and_health_and_refuses_in_words() {
    let folder = folder();
    let exchange = Exchange::start(folder.path(), &STILL);
    create(&mut exchange.client(), "lo-one");
    let shown = exchange.look("orders");
    assert_eq!(shown["accounts"][0]["orders"][0]["orderLinkId"], "lo-one", "{shown}");
    assert_eq!(exchange.look("health")["ok"], true);
    assert_eq!(exchange.look("faults")["struck"], json!({}));
    assert!(exchange.try_order(&json!({"command": "no such thing"})).is_err());
    let answer = exchange.admin().get("/elsewhere", "").answer();
    assert_eq!(answer.status, 404);
}

/// Runs it to its end: exit code, and what it printed.
fn run(folder: &std::path::Path, words: &[&str]) -> (Option<i32>, String) {
    let (out, err) = (folder.join("run.out"), folder.join("run.err"));
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_lastorders"))
        .current_dir(folder)
        .arg("exchange")
        .args(words)
        .stdin(std::process::Stdio::null())
        .stdout(std::fs::File::create(&out).expect("a file"))
        .stderr(std::fs::File::create(&err).expect("a file"))
        .spawn()
        .expect("the binary");
    let ended = wait::until(Duration::from_secs(60), "it to end", || child.try_wait().expect("our own child"));
    if ended.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let read = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_default();
    let printed = read(&out) + &read(&err);
    let status = ended.unwrap_or_else(|why| panic!("{why}:\n{printed}"));
    (status.code(), printed)
}
