//! Keys in the middle of a run: what the loudest log shows of them, and what becomes of a run whose key is taken away.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::judge::{of_clean_stop, soundness};
use super::meddler::{Meddler, Twist};
use super::{Desk, Key, QUIET, exchange, ours_live, take_one, tell, temporary};

const SPOT: &str = "BTC-USDT";

/// Everything is logged, streams break, answers are strange, and the venue repeats what it was told.
fn loudest() -> Vec<String> {
    let (folder, key) = (temporary(), Key::new(0));
    let exchange = exchange(folder.path(), &[(&key, "")], &QUIET);
    let meddler = Meddler::before(exchange.address());
    let desk = Desk::live(meddler.address(), &key).with("RUST_LOG", "trace");
    for (name, secret) in [("key", &key.key), ("secret", &key.secret)] {
        let file = desk.place(name);
        std::fs::write(&file, secret).expect("a file");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("our own file");
    }
    let (key_file, secret_file) = (desk.place("key").display().to_string(), desk.place("secret").display().to_string());
    let desk = desk
        .with("BYBIT_API_KEY", "")
        .with("BYBIT_API_SECRET", "")
        .with("BYBIT_API_KEY_FILE", &key_file)
        .with("BYBIT_API_SECRET_FILE", &secret_file);
    let mut trader = desk.start_ready();
    trader.wait_quoting(&exchange, 0, SPOT);
    let echo = format!("{{\"retCode\":10004,\"retMsg\":\"error sign! key {} origin_string[{}]\"}}", key.key, key.key);
    meddler.twist(move |target| if target.starts_with("/v5/order/") { Twist::body(echo.clone()) } else { Twist::None });
    exchange.order(&json!({"command": "drop_sockets", "scope": "all"}));
    trader.wait_for("a few strange answers", || {
        take_one(&exchange, 0, SPOT);
        (meddler.n_twisted() >= 3).then_some(())
    });
    meddler.heal();
    trader.wait_settled(&exchange, 0);
    let code = trader.terminate().code;
    let mut findings = of_clean_stop(&desk, &exchange, 0, code);
    let mut secrets = meddler.signatures();
    findings.extend((secrets.len() < 10).then(|| "hardly anything was signed: this shows nothing".to_owned()));
    findings.extend((!desk.home.printed().contains("TRACE")).then(|| "it was not loud: this shows nothing".to_owned()));
    secrets.extend([key.key, key.secret]);
    findings.extend(soundness(&desk, &secrets));
    findings.truncate(20);
    findings
}

/// The key is deleted at the venue while orders rest: nothing can be proved, and every order is named.
fn taken_away() -> Vec<String> {
    let (folder, key) = (temporary(), Key::new(0));
    let exchange = exchange(folder.path(), &[(&key, "")], &["--activity", "0"]);
    let meddler = Meddler::before(exchange.address());
    let desk = Desk::live(meddler.address(), &key);
    let mut trader = desk.start_ready();
    trader.wait_for("ten orders", || (ours_live(&exchange.ledger(), 0) == 10).then_some(()));
    meddler.twist(|target| {
        let is_public = target.starts_with("/v5/market/");
        if is_public { Twist::None } else { Twist::body(r#"{"retCode":10003,"retMsg":"API key is invalid."}"#) }
    });
    // The market goes away from the quotes, so that they want to follow.
    exchange.order(&json!({"command": "move_price", "symbol": SPOT, "price": "65000"}));
    trader.wait_for("cancels to be refused", || (meddler.n_twisted_of("/v5/order/cancel") >= 3).then_some(()));
    let said_before = desk.home.printed();
    let exit = trader.terminate();
    let mut findings = soundness(&desk, &meddler.signatures());
    findings.extend((exit.code != Some(3)).then(|| format!("it ended with {exit:?}")));
    let n_creates = meddler.n_twisted_of("/v5/order/create");
    findings.extend((n_creates > 40).then(|| format!("{n_creates} creates were tried with a key that is not valid")));
    let report = std::fs::read_to_string(desk.home.state().join("last_shutdown.json")).unwrap_or_default();
    let report: Value = serde_json::from_str(&report).unwrap_or_default();
    let named = report["orders"]["remaining"].to_string();
    let printed = desk.home.printed();
    for id in exchange.ledger().live_of(0) {
        findings.extend((!named.contains(&id)).then(|| format!("the report does not name {id}: {named}")));
        findings.extend((!printed.contains(&id)).then(|| format!("stderr does not name {id}")));
    }
    for (what, said) in [("while it traded", said_before.as_str()), ("while it stopped", &printed[said_before.len()..])]
    {
        for word in ["10003", "Key, secret, environment and host must belong together"] {
            findings.extend((!said.contains(word)).then(|| format!("`{word}` is not among its words {what}")));
        }
    }
    if !findings.is_empty() {
        findings.push(printed);
    }
    findings
}

#[test]
fn no_secret_is_ever_shown_and_a_key_that_is_taken_away_leaves_only_what_is_named() {
    tell(&[("the loudest log", loudest), ("a key that is taken away", taken_away)]);
}
