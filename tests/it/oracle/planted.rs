//! The judge is shown a clean directory, which it must pass, and the same with one defect after the other, each of
//! which it must name.

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rustix::fs::FlockOperation;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::files::{Journal, check_state, sha256, states_recorded};
use super::ledger::{Ledger, crc32, sealed};
use super::verdict::{Books, Run, Verdict, judge, judge_by, judge_residue, judge_unborn};

const FILLED: &str = "loa1b200001a000001";
const CANCELED: &str = "loa1b200001a000002";
const FOREIGN: &str = "lozzzz00001a000009";

/// What lies in a directory after a clean stop: two orders, one filled in two trades, one canceled half filled.
struct World {
    folder: TempDir,
    ledger: Vec<Value>,
    state: Value,
    records: Vec<Value>,
    report: Value,
    exit_code: i32,
}

fn accepted(client_id: &str, side: &str) -> Value {
    json!({"t_ms": 1_000, "kind": "accepted", "request": 1, "account": 1, "client_id": client_id, "order_id": "V1",
           "symbol": "BTC-USDT", "side": side, "price": "64000", "qty": "0.010", "filled": "0", "time_in_force": "gtc"})
}

fn fill(client_id: &str, side: &str, trade_id: &str, qty: &str) -> Value {
    json!({"t_ms": 1_500, "kind": "fill", "account": 1, "client_id": client_id, "order_id": "V1", "trade_id": trade_id,
           "trade": 1, "symbol": "BTC-USDT", "side": side, "price": "64000", "qty": qty, "fee": "0.1",
           "fee_asset": "USDT", "maker": true, "with": "crowd"})
}

fn closed(client_id: &str, reason: &str, filled: &str) -> Value {
    json!({"t_ms": 2_000, "kind": "closed", "account": 1, "client_id": client_id, "order_id": "V1", "reason": reason,
           "filled": filled})
}

fn record_of(line: &Value) -> Value {
    json!({"kind": "fill", "client_id": line["client_id"], "venue": "main", "symbol": line["symbol"],
           "side": line["side"], "base": "BTC", "quote": "USDT",
           "fill": {"trade_id": line["trade_id"], "price": line["price"], "qty": line["qty"], "fee": line["fee"],
                    "fee_asset": line["fee_asset"], "maker": true, "at": "1970-01-01T00:00:01.500Z"}})
}

fn saved(client_id: &str, state: &str, filled: &str) -> Value {
    json!({"client_id": client_id, "venue": "main", "symbol": "BTC-USDT", "side": "BUY", "price": "64000",
           "qty": "0.01", "filled": filled, "time_in_force": "gtc", "state": state})
}

fn report() -> Value {
    let mut report = json!({
        "complete": true, "exit_code": 0, "state_flushed": true, "proof": {"proved": true, "grade": "by_order"},
        "orders": {"remaining": []}, "tasks": {"joined": 7, "late": []},
    });
    let names = "version instance epoch mode reason signal signals_repeated started_at finished_at duration_ms steps \
                 venues dead_man_switch pending_jobs positions recorder_flushed swept_by";
    for name in names.split_whitespace() {
        report[name] = json!("x");
    }
    for name in ["found", "canceled", "filled_meanwhile", "cancel_errors", "unsent", "kept"] {
        report["orders"][name] = json!(0);
    }
    report
}

impl World {
    fn clean() -> World {
        let fills = [
            fill(FILLED, "BUY", "T1", "0.004"),
            fill(FILLED, "BUY", "T2", "0.006"),
            fill(CANCELED, "SELL", "T3", "0.005"),
        ];
        let mut ledger = vec![
            json!({"t_ms": 900, "kind": "meta", "version": 1}),
            json!({"t_ms": 950, "kind": "request", "what": "create", "client_id": FILLED}),
            accepted(FILLED, "BUY"),
            accepted(CANCELED, "SELL"),
            accepted(FOREIGN, "BUY"),
        ];
        ledger.extend(fills.iter().cloned());
        ledger.push(json!({"t_ms": 1_600, "kind": "fault", "fault": "answer_lost", "on": "cancel", "account": 1}));
        ledger.push(json!({"t_ms": 1_700, "kind": "canceling", "client_id": CANCELED, "time_ms": 2_000}));
        ledger.push(closed(FILLED, "filled", "0.01"));
        ledger.push(closed(CANCELED, "cancelled", "0.005"));
        let mut records = vec![
            json!({"kind": "intent", "client_id": FILLED}),
            json!({"kind": "moved", "client_id": FILLED, "state": "SENT"}),
            json!({"kind": "intent", "client_id": CANCELED}),
        ];
        records.extend(fills.iter().map(record_of));
        let state = json!({
            "version": 1, "instance": "a1b2", "journal_seq": records.len(), "misfits": 0,
            "orders": {"open": {}, "recently_closed": [saved(FILLED, "FILLED", "0.01"), saved(CANCELED, "CANCELED", "0.005")]},
            "venues": {"main": {
                "recent_trades": {"T1": "x", "T2": "x", "T3": "x"},
                "positions": {"BTC-USDT": {"qty": "0.005", "turnover": "960", "fees": "0.3", "fills": 3}},
            }},
        });
        let folder = TempDir::new().unwrap();
        World { folder, ledger, state, records, report: report(), exit_code: 0 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, content: &str) {
        let path = self.path(name);
        let parent = path.parent().unwrap();
        std::fs::create_dir_all(parent).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(parent, Permissions::from_mode(0o700)).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }

    fn write(&self) {
        self.put("paper/main.jsonl", &sealed(&self.ledger));
        self.put("state.json", &state_text(&self.state));
        self.put("journal/00000000000000000001.jsonl", &journal_text(&self.records));
        self.put("last_shutdown.json", &self.report.to_string());
        self.put("lastorders.lock", "");
    }

    fn judge(&self) -> Verdict {
        let exit_code = self.exit_code;
        judge(Run { folder: self.folder.path(), venues: &["main"], exit_code, was_killed: false })
    }
}

fn state_text(state: &Value) -> String {
    let pretty = serde_json::to_string_pretty(state).unwrap();
    let before = format!("{},\n", pretty.trim_end_matches("\n}"));
    let checksum = sha256(before.as_bytes());
    format!("{before}  \"checksum\": \"{checksum}\"}}\n")
}

fn journal_text(records: &[Value]) -> String {
    let head = "{\"head\":{\"version\":1}".to_owned();
    let records = records.iter().enumerate();
    let bodies = records.map(|(seq, record)| format!("{{\"seq\":{},\"synced\":0,\"rec\":{record}", seq + 1));
    let sealed = [head].into_iter().chain(bodies).map(|body| {
        let sum = &sha256(body.as_bytes())[..16];
        format!("{body},\"sum\":\"{sum}\"}}\n")
    });
    sealed.collect()
}

#[test]
fn a_clean_stop_passes() {
    let world = World::clean();
    world.write();
    let verdict = world.judge();
    assert_eq!(verdict.findings, Vec::<String>::new());
    assert_eq!((verdict.orders, verdict.fills), (2, 3), "orders of others are not ours");
}

type Plant = fn(&mut World);

/// What is planted, and words the judge must say about it.
const DEFECTS: &[(&str, Plant)] = &[
    ("loa1b200001a000002 rests on the book, 0.005 of 0.01 filled", |world| drop(world.ledger.pop())),
    ("the report does not name loa1b200001a000002, which is open", |world| drop(world.ledger.pop())),
    ("exit code 0 with 1 orders open", |world| drop(world.ledger.pop())),
    ("rests on the book, 0 of 0.01 filled", |world| world.ledger.push(accepted("loa1b200001a000003", "BUY"))),
    ("the state knows nothing of loa1b200001a000003", |world| {
        world.ledger.push(accepted("loa1b200001a000003", "BUY"));
        world.ledger.push(closed("loa1b200001a000003", "cancelled", "0"));
    }),
    ("trade T2 of loa1b200001a000001 is not booked", |world| {
        world.state["venues"]["main"]["recent_trades"] = json!({"T1": "x", "T3": "x"});
    }),
    ("trade T9 is booked and never happened", |world| {
        world.state["venues"]["main"]["recent_trades"]["T9"] = json!("x");
    }),
    ("2 fills of BTC-USDT are booked of 3", |world| position(world, "fills", json!(2))),
    ("4 fills of BTC-USDT are booked of 3", |world| position(world, "fills", json!(4))),
    ("qty of BTC-USDT is 0.01, the fills make 0.005", |world| position(world, "qty", json!("0.01"))),
    ("turnover of BTC-USDT is 961, the fills make 960", |world| position(world, "turnover", json!("961"))),
    ("fees of BTC-USDT is 0.4, the fills make 0.3", |world| position(world, "fees", json!("0.4"))),
    ("`qty` is missing", |world| position(world, "qty", Value::Null)),
    ("3 fills of BTC-USDT and no position", |world| world.state["venues"]["main"]["positions"] = json!({})),
    ("record 7 books trade T3 a second time", |world| {
        let doubled = world.records[5].clone();
        world.records.push(doubled);
        world.state["journal_seq"] = json!(7);
    }),
    ("books trade T1 with another quantity", |world| world.records[3]["fill"]["qty"] = json!("0.005")),
    ("books trade T1 with another price", |world| world.records[3]["fill"]["price"] = json!("64001")),
    ("books trade T1 with another side", |world| world.records[3]["side"] = json!("SELL")),
    ("books trade T1 with another order", |world| world.records[3]["client_id"] = json!(CANCELED)),
    ("books trade T1 with another fee", |world| world.records[3]["fill"]["fee_asset"] = json!("BTC")),
    ("is booked with 0.004 filled, the ledger says 0.01", |world| closed_order(world, 0, "filled", "0.004")),
    ("loa1b200001a000001 is CANCELED with 0.01 of 0.01 filled", |world| closed_order(world, 0, "state", "CANCELED")),
    ("loa1b200001a000002 is FILLED with 0.005 of 0.01 filled", |world| closed_order(world, 1, "state", "FILLED")),
    ("is REJECTED, and the ledger says it was accepted", |world| closed_order(world, 1, "state", "REJECTED")),
    ("loa1b200001a000002 is ETH-USDT in the state, BTC-USDT in the ledger", |world| {
        closed_order(world, 1, "symbol", "ETH-USDT");
    }),
    ("is booked as filled and was never accepted", |world| {
        let invented = saved("loa1b200001a000008", "FILLED", "0.01");
        world.state["orders"]["recently_closed"].as_array_mut().unwrap().push(invented);
    }),
    ("the state has loa1b200001a000002 twice", |world| {
        let twice = saved(CANCELED, "CANCELED", "0.005");
        world.state["orders"]["recently_closed"].as_array_mut().unwrap().push(twice);
    }),
    ("the state still has loa1b200001a000002 as \"PENDING_CANCEL\"", |world| {
        world.state["orders"]["open"][CANCELED] = saved(CANCELED, "PENDING_CANCEL", "0.005");
    }),
    ("the state counts 1 records that did not fit", |world| world.state["misfits"] = json!(1)),
    ("the state ends at record 5, the journal goes on to 6", |world| world.state["journal_seq"] = json!(5)),
    ("trade T1 of ours stands in it twice", |world| {
        let last = world.ledger.len() - 2;
        world.ledger.insert(last, fill(CANCELED, "SELL", "T1", "0.001"));
    }),
    ("ends with 0.005 filled, its fills make 0.006", |world| {
        let last = world.ledger.len() - 2;
        world.ledger.insert(last, fill(CANCELED, "SELL", "T4", "0.001"));
    }),
    ("is filled after its end", |world| world.ledger.push(fill(FILLED, "BUY", "T5", "0.001"))),
    ("was never accepted", |world| world.ledger.push(closed("loa1b200001a000007", "cancelled", "0"))),
    ("the report is not complete", |world| world.report["complete"] = json!(false)),
    ("the report says exit code 3, the process ended with 0", |world| world.report["exit_code"] = json!(3)),
    ("the report says the state is not flushed", |world| world.report["state_flushed"] = json!(false)),
    ("exit code 0 with proved false and 0 orders remaining", |world| world.report["proof"]["proved"] = json!(false)),
    ("exit code 0 with proved true and 1 orders remaining", |world| {
        world.report["orders"]["remaining"] = json!([{"client_order_id": CANCELED}]);
    }),
    ("exit code 1 with 1 orders open", |world| {
        world.ledger.pop();
        world.exit_code = 1;
    }),
    ("the report has no `dead_man_switch`", |world| {
        world.report.as_object_mut().unwrap().remove("dead_man_switch");
    }),
    ("the report's orders have no `unsent`", |world| {
        world.report["orders"].as_object_mut().unwrap().remove("unsent");
    }),
    ("the thread main.rest.1 did not end", |world| world.report["tasks"]["late"] = json!(["main.rest.1"])),
];

fn position(world: &mut World, key: &str, value: Value) {
    world.state["venues"]["main"]["positions"]["BTC-USDT"][key] = value;
}

fn closed_order(world: &mut World, place: usize, key: &str, value: &str) {
    world.state["orders"]["recently_closed"][place][key] = json!(value);
}

fn says(findings: &[String], words: &str) -> bool {
    findings.iter().any(|finding| finding.contains(words))
}

#[test]
fn every_planted_defect_is_named() {
    for (words, plant) in DEFECTS {
        let mut world = World::clean();
        plant(&mut world);
        world.write();
        let findings = world.judge().findings;
        assert!(says(&findings, words), "nobody said \"{words}\" but {findings:#?}");
    }
}

type Breach = fn(&World);

/// Defects of the files themselves, planted after they were written.
const BROKEN_FILES: &[(&str, Breach)] = &[
    ("its checksum does not fit", |world| edit(world, "state.json", |text| text.replace("\"960\"", "\"961\""))),
    ("no JSON", |world| edit(world, "state.json", |text| text[..text.len() / 2].to_owned())),
    ("its last line is not the checksum", |world| {
        edit(world, "state.json", |text| text.replace("\"checksum\"", "\"sum\""))
    }),
    ("state.json: No such file", |world| std::fs::remove_file(world.path("state.json")).unwrap()),
    ("state.prev.json: no JSON", |world| world.put("state.prev.json", "")),
    ("last_shutdown.json: No such file", |world| std::fs::remove_file(world.path("last_shutdown.json")).unwrap()),
    ("main.jsonl: No such file", |world| std::fs::remove_file(world.path("paper/main.jsonl")).unwrap()),
    ("main: ledger line 7: its checksum does not fit", |world| {
        edit(world, "paper/main.jsonl", |text| text.replace("\"0.006\"", "\"0.007\""));
    }),
    ("main: ledger line 2: a line before it is missing", |world| {
        edit(world, "paper/main.jsonl", |text| {
            let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
            lines.remove(1);
            lines.concat()
        });
    }),
    ("00000000000000000001.jsonl:5: its checksum does not fit", |world| {
        edit(world, "journal/00000000000000000001.jsonl", |text| text.replace("\"0.004\"", "\"0.005\""));
    }),
    ("00000000000000000001.jsonl:7: its end is missing", |world| {
        edit(world, "journal/00000000000000000001.jsonl", |text| text[..text.len() - 9].to_owned());
    }),
    ("00000000000000000001.jsonl:3: record 3 does not follow", |world| {
        edit(world, "journal/00000000000000000001.jsonl", |text| {
            let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
            lines.remove(2);
            lines.concat()
        });
    }),
    ("control.sock is still there", |world| world.put("control.sock", "")),
    ("lastorders.pid is still there", |world| world.put("lastorders.pid", "1\n")),
    ("state.json.new lies in the state directory", |world| world.put("state.json.new", "")),
    ("state.json.broken.x lies in the state directory", |world| world.put("state.json.broken.x", "")),
    ("state.json is open to others", |world| {
        std::fs::set_permissions(world.path("state.json"), Permissions::from_mode(0o640)).unwrap();
    }),
    ("paper/main.jsonl is open to others", |world| {
        std::fs::set_permissions(world.path("paper/main.jsonl"), Permissions::from_mode(0o604)).unwrap();
    }),
    ("journal is open to others", |world| {
        std::fs::set_permissions(world.path("journal"), Permissions::from_mode(0o755)).unwrap();
    }),
];

fn edit(world: &World, name: &str, change: impl Fn(&str) -> String) {
    let before = std::fs::read_to_string(world.path(name)).unwrap();
    let after = change(&before);
    assert_ne!(before, after, "nothing was planted in {name}");
    world.put(name, &after);
}

#[test]
fn every_broken_file_is_named() {
    for (words, plant) in BROKEN_FILES {
        let world = World::clean();
        world.write();
        plant(&world);
        let findings = world.judge().findings;
        assert!(says(&findings, words), "nobody said \"{words}\" but {findings:#?}");
    }
}

#[test]
fn a_lock_that_is_held_is_named() {
    let world = World::clean();
    world.write();
    let file = File::open(world.path("lastorders.lock")).unwrap();
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    assert!(says(&world.judge().findings, "the lock is still held"));
    assert!(says(&judge_unborn(world.folder.path(), &["main"]), "the lock is still held"));
    drop(file);
    assert_eq!(world.judge().findings, Vec::<String>::new());
}

#[test]
fn honest_residue_passes() {
    let mut world = World::clean();
    world.ledger.pop();
    world.exit_code = 3;
    world.report["exit_code"] = json!(3);
    world.report["proof"]["proved"] = json!(false);
    world.report["orders"]["remaining"] = json!([{"client_order_id": CANCELED, "state": "UNKNOWN"}]);
    world.write();
    let findings = world.judge().findings;
    assert_eq!(findings, ["main: loa1b200001a000002 rests on the book, 0.005 of 0.01 filled"]);
}

/// A run that could not clean up, judged as one: `plant` spoils it.
fn judge_left(plant: fn(&mut World)) -> Vec<String> {
    let mut world = World::clean();
    world.ledger.pop();
    world.exit_code = 3;
    world.report["exit_code"] = json!(3);
    world.report["proof"]["proved"] = json!(false);
    world.report["orders"]["remaining"] = json!([{"client_order_id": CANCELED, "state": "UNKNOWN"}]);
    // It did not hear of the last fill any more, and its state still has the order.
    world.state["orders"]["open"] = json!({CANCELED: {"state": "PENDING_CANCEL"}});
    world.state["venues"]["main"]["recent_trades"] = json!({"T1": "x", "T2": "x"});
    world.records.pop();
    plant(&mut world);
    world.write();
    let ledger = Ledger::read(&world.path("paper/main.jsonl"), "loa1b2");
    let books = [Books { venue: "main", ledger: &ledger, trade_of: |name| Some(name.to_owned()) }];
    let (folder, exit_code) = (world.folder.path(), world.exit_code);
    judge_residue(Run { folder, venues: &["main"], exit_code, was_killed: false }, &books).findings
}

#[test]
fn what_is_left_must_be_named_and_nothing_be_invented() {
    assert_eq!(judge_left(|_| {}), Vec::<String>::new());
    type Plant = fn(&mut World);
    let planted: [(&str, Plant); 5] = [
        ("does not name loa1b200001a000002", |world| world.report["orders"]["remaining"] = json!([])),
        ("exit code 0 with", |world| {
            world.exit_code = 0;
            world.report["exit_code"] = json!(0);
        }),
        ("trade T9 is booked and never happened", |world| {
            world.state["venues"]["main"]["recent_trades"]["T9"] = json!("x");
        }),
        ("books trade T1 a second time", |world| world.records.push(world.records[3].clone())),
        ("is accepted a second time", |world| world.ledger.push(accepted(FILLED, "BUY"))),
    ];
    for (words, plant) in planted {
        let findings = judge_left(plant);
        assert!(says(&findings, words), "nobody said \"{words}\" but {findings:#?}");
    }
}

#[test]
fn a_trade_under_two_names_is_booked_twice() {
    let mut world = World::clean();
    world.state["venues"]["main"]["recent_trades"] = json!({"T1:a": "x", "T1:b": "x", "T2:a": "x", "T3:a": "x"});
    for record in &mut world.records[3..] {
        let name = format!("{}:a", record["fill"]["trade_id"].as_str().unwrap());
        record["fill"]["trade_id"] = json!(name);
    }
    world.write();
    let ledger = Ledger::read(&world.path("paper/main.jsonl"), "loa1b2");
    let books = [Books {
        venue: "main",
        ledger: &ledger,
        trade_of: |name| name.split_once(':').map(|(trade, _)| trade.to_owned()),
    }];
    let run = Run { folder: world.folder.path(), venues: &["main"], exit_code: 0, was_killed: false };
    assert_eq!(judge_by(run, &books).findings, ["main: trade T1:b is booked by two names"]);
}

#[test]
fn a_torn_end_is_what_a_kill_leaves() {
    let world = World::clean();
    world.write();
    edit(&world, "journal/00000000000000000001.jsonl", |text| text[..text.len() - 9].to_owned());
    edit(&world, "paper/main.jsonl", |text| format!("{text}{{\"seq\":99,"));
    let run = Run { folder: world.folder.path(), venues: &["main"], exit_code: 0, was_killed: true };
    assert_eq!(judge(run).findings, Vec::<String>::new());
}

#[test]
fn a_run_that_never_began_has_sent_nothing() {
    let world = World::clean();
    assert_eq!(judge_unborn(world.folder.path(), &["main"]), Vec::<String>::new());
    world.write();
    let findings = judge_unborn(world.folder.path(), &["main"]);
    assert!(says(&findings, "loa1b200001a000001 was sent by a run that never began"), "{findings:?}");
}

#[test]
fn the_ledger_tells_what_a_moment_saw() {
    let ledger = Ledger::parse(&sealed(&World::clean().ledger), "loa1b2");
    assert_eq!(ledger.open_at(999), (0, 0));
    assert_eq!(ledger.open_at(1_650), (2, 0));
    assert_eq!(ledger.open_at(1_800), (2, 1));
    assert_eq!(ledger.open_at(2_000), (0, 0));
    assert_eq!(ledger.faults_since(1_600), BTreeMap::from([("answer_lost".to_owned(), 1)]));
    assert_eq!(ledger.faults_since(1_601), BTreeMap::new());
}

#[test]
fn the_recorded_states_are_the_saved_ones_with_the_journal_after_them() {
    let folder = TempDir::new().unwrap();
    let record = |kind: &str, id: &str, state: &str, second: u32| json!({"kind": kind, "client_id": id, "state": state, "at": moment(second)});
    let records = [
        record("intent", "a", "", 1),
        record("moved", "a", "SENT", 2),
        record("intent", "b", "", 3),
        record("moved", "a", "UNKNOWN", 4),
        record("found", "c", "", 5),
        record("moved", "d", "CANCELED", 6),
        record("moved", "a", "PENDING_CANCEL", 9),
    ];
    std::fs::write(folder.path().join("1.jsonl"), journal_text(&records)).unwrap();
    let journal = Journal::read(folder.path(), true);
    assert_eq!(journal.findings, Vec::<String>::new());
    let named = |state: Option<&Value>, second: u32| -> Vec<String> {
        states_recorded(state, &journal, &moment(second)).iter().map(|(id, name)| format!("{id} {name}")).collect()
    };
    assert_eq!(named(None, 8), ["a UNKNOWN", "b NEW", "c UNKNOWN"], "what came after the moment does not count");
    assert_eq!(named(None, 9), named(None, 8), "nor what came in the same millisecond");
    assert_eq!(named(None, 3), ["a SENT"]);
    let saved =
        json!({"journal_seq": 4, "orders": {"open": {"a": {"state": "OPEN"}, "d": {"state": "PENDING_CANCEL"}}}});
    assert_eq!(named(Some(&saved), 8), ["a OPEN", "c UNKNOWN"]);
}

fn moment(second: u32) -> String {
    format!("2026-11-20T10:00:{second:02}.000Z")
}

#[test]
fn the_sums_are_the_usual_ones() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert!(check_state(&state_text(&json!({"a": 1, "z": {"b": [1, 2]}}))).is_ok());
}
