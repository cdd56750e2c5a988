//! Each rule is shown what it must find and what it must let pass.

use crate::lexer::{lex, shipped, test_modules};
use crate::paths::paths;
use crate::rules::{self, Ban, Home, Mint, Row, inspect};
use crate::tree::{Source, mark_tests};
use crate::{BANS, LINES_MAX, MACHINE_PATHS, MINTS, RINGS, UNFINISHED_WORDS};

fn names(text: &str) -> Vec<&str> {
    lex(text).iter().map(|token| token.text).collect()
}

fn stray(path: &str, text: &str) -> Vec<String> {
    let findings = rules::stray_uses(&Source::new(path, text), RINGS);
    findings.iter().map(ToString::to_string).collect()
}

/// Everything any ban says about this text at this place.
fn banned(path: &str, text: &str) -> Vec<String> {
    let source = Source::new(path, text);
    let about = BANS.iter().filter(|ban| ban.is_about(&source));
    about.flat_map(|ban| ban.strays(&source)).map(|finding| finding.to_string()).collect()
}

#[test]
fn comments_and_texts_hold_no_code() {
    let text = r###"
        // unsafe
        /* unsafe /* unsafe */ unsafe */
        /// unsafe
        let a = "unsafe \" unsafe"; let b = r#"unsafe " unsafe"#; let c = b"unsafe"; let d = '"'; let e = 'u';
        fn f<'unsafe_life>(x: &'unsafe_life str) {} let g = '\''; let h = br"unsafe\"; let i = r#type;
    "###;
    assert!(!names(text).contains(&"unsafe"), "{:?}", names(text));
    assert!(names(text).contains(&"h"), "the text after a literal is read again");
    assert!(names(text).contains(&"type"));
    assert_eq!(names("/* open unsafe"), Vec::<&str>::new());
    assert_eq!(lex("a\n/* \n */ b \"\n\" c").last().unwrap().line, 4);
}

#[test]
fn floats_are_told_from_tuples_ranges_and_suffixes() {
    let floats = |text: &str| lex(text).iter().filter(|token| token.is_float_literal()).count();
    for text in ["1.5", "1.", "1e5", "2.5e-3", "1f64", "1_000.0", "7E+2"] {
        assert_eq!(floats(text), 1, "{text}");
    }
    for text in ["pair.0.1", "0..5", "1.max(2)", "1usize", "1usize-1", "0xe5", "0x1f32", "1_000u64", "\"1.5\"", "0b1-1"]
    {
        assert_eq!(floats(text), 0, "{text}");
    }
    assert_eq!(names("1usize-x"), ["1usize", "-", "x"]);
    assert_eq!(names("0xe+x"), ["0xe", "+", "x"]);
}

#[test]
fn only_the_test_parts_of_a_file_are_exempt() {
    let left = |text: &str| -> Vec<String> { shipped(&lex(text)).iter().map(|token| token.text.to_owned()).collect() };
    for (text, rest) in [
        ("a; #[cfg(test)] mod tests { bad { bad } } b;", "a ; b ;"),
        ("#[cfg(test)] use x::{bad, bad}; b", "b"),
        ("#[cfg(test)] #[derive(Debug)] pub(crate) struct Bad<A, B> { bad: A } b", "b"),
        ("#[cfg(test)] struct Bad(u8); b", "b"),
        ("#[cfg(test)] const BAD: X = X { bad }; b", "b"),
        ("#[cfg(test)] const fn bad() { bad } b", "b"),
        ("struct X { #[cfg(test)] bad: Y<u8>, b: u8 }", "struct X { b : u8 }"),
        ("#[test] fn bad() { bad } b", "b"),
        ("#[cfg(not(test))] b", "# [ cfg ( not ( test ) ) ] b"),
        ("#![cfg(test)] bad bad", ""),
        ("#[cfg(test)] mod tests;\nb", "b"),
    ] {
        assert_eq!(left(text).join(" "), rest, "{text}");
    }
    assert_eq!(
        test_modules(&lex("#[cfg(test)] mod checks; mod real; #[cfg(test)] mod inline { mod deep; }")),
        ["checks"]
    );
}

#[test]
fn a_file_declared_for_tests_is_a_test() {
    let mut sources = vec![
        Source::new("src/orders/mod.rs", "#[cfg(test)]\nmod tests;\nmod machine;"),
        Source::new("src/orders/machine.rs", "#[cfg(test)] mod cases;"),
        Source::new("src/orders/machine/cases.rs", "bad"),
        Source::new("src/orders/tests.rs", "bad"),
        Source::new("src/orders/tests/deep.rs", "bad"),
        Source::new("src/engine/tests.rs", "nobody said so"),
    ];
    mark_tests(&mut sources);
    let tests: Vec<&str> = sources.iter().filter(|source| source.is_test).map(|source| source.path.as_str()).collect();
    assert_eq!(tests, ["src/orders/machine/cases.rs", "src/orders/tests.rs", "src/orders/tests/deep.rs"]);
}

#[test]
fn use_trees_and_renames_are_written_out() {
    let named = |text: &str| -> Vec<String> { paths(&lex(text)).iter().map(rules_text).collect() };
    fn rules_text(path: &crate::paths::Named) -> String {
        path.text()
    }
    assert_eq!(
        named("use std::{fs, io::{self, Read as R}, time::*};"),
        ["std::fs", "std::io", "std::io::Read", "std::time::*"]
    );
    assert_eq!(named("use std::time as t; fn f() { t::Instant::now() }"), ["std::time", "std::time::Instant::now"]);
    assert_eq!(named("use core::time::Duration;"), ["std::time::Duration"]);
    assert_eq!(named("use ::std::fs; extern crate rand; rand::random()"), ["std::fs", "rand::random"]);
    assert_eq!(named("x.std::fs"), Vec::<String>::new());
    assert_eq!(named("use self::inner::X;"), ["inner::X"]);
    assert_eq!(named("impl Iterator<Item = u8> + use<'_> {} use a::b;"), ["a::b"]);
    // Text that is no Rust must not hang the reader.
    for broken in ["use", "use {", "use a::{", "use ;;", "use a::{{}}", "use std::{fs", "use a as", "::", "#", "#["] {
        let _ = paths(&lex(broken));
        let _ = shipped(&lex(broken));
    }
}

#[test]
fn looking_up_or_sideways_is_found() {
    for (path, text, findings) in [
        (
            "src/orders/machine.rs",
            "use crate::engine::X;",
            vec!["src/orders/machine.rs:1: may not use `crate::engine`: orders may use domain"],
        ),
        (
            "src/domain/ids.rs",
            "fn f() {\n crate::orders::f() }",
            vec!["src/domain/ids.rs:2: may not use `crate::orders`: domain may use nothing"],
        ),
        (
            "src/store/journal.rs",
            "use crate::{domain::ids, control};",
            vec!["src/store/journal.rs:1: may not use `crate::control`: store may use domain"],
        ),
        (
            "src/outbox/mod.rs",
            "use super::orders::Desk;",
            vec!["src/outbox/mod.rs:1: may not use `crate::orders`: outbox may use domain"],
        ),
        (
            "src/outbox/lane.rs",
            "use super::super::{domain, exchange::Model};",
            vec!["src/outbox/lane.rs:1: may not use `crate::exchange`: outbox may use domain"],
        ),
        (
            "src/runtime/loop.rs",
            "use crate::cli::Args;",
            vec![
                "src/runtime/loop.rs:1: may not use `crate::cli`: runtime may use domain, orders, outbox, exchange, \
                 engine, startup, shutdown, venues, net, store, control",
            ],
        ),
        (
            "src/engine/mod.rs",
            "use crate as everything;",
            vec!["src/engine/mod.rs:1: `crate` names the crate's root: name a module of the ring table"],
        ),
        (
            "src/engine/mod.rs",
            "use crate::*;",
            vec!["src/engine/mod.rs:1: `crate::*` names the crate's root: name a module of the ring table"],
        ),
        (
            "src/engine/mod.rs",
            "use crate::helper;",
            vec!["src/engine/mod.rs:1: `crate::helper` names the crate's root: name a module of the ring table"],
        ),
        ("src/strange/mod.rs", "", vec!["src/strange/mod.rs:1: `strange` is not in the ring table"]),
    ] {
        assert_eq!(stray(path, text), findings, "{path}: {text}");
    }
}

#[test]
fn looking_down_passes() {
    for (path, text) in [
        (
            "src/engine/trade.rs",
            "use crate::domain::ids; use crate::orders::Desk; use crate::engine::risk; use super::risk;",
        ),
        ("src/engine/deep/trade.rs", "use super::super::risk::Gate;"),
        ("src/orders/machine.rs", "// use crate::engine::X;\nlet a = \"crate::engine::X\"; pub(crate) fn f() {}"),
        ("src/orders/machine.rs", "#[cfg(test)] mod tests { use crate::engine::X; }"),
        ("src/orders/machine.rs", "mod inner { use super::super::machine::X; }"),
        ("src/cli/run.rs", "use crate::runtime::Runtime;"),
        ("src/lib.rs", "pub mod cli; pub use crate::cli::X;"),
        ("src/main.rs", "fn main() { lastorders::cli::main() }"),
    ] {
        assert_eq!(stray(path, text), Vec::<String>::new(), "{path}: {text}");
    }
}

#[test]
fn the_ring_table_must_fit_the_folders() {
    let row = |module, ring, may_use| Row { module, ring, may_use };
    let sources = [
        Source::new("src/lib.rs", ""),
        Source::new("src/low/mod.rs", ""),
        Source::new("src/new/mod.rs", ""),
        Source::new("src/high/mod.rs", ""),
        Source::new("src/beside.rs", ""),
    ];
    let table = [row("low", 0, &["high"][..]), row("gone", 1, &["nowhere"][..]), row("high", 2, &[][..])];
    assert_eq!(
        rules::table_fits(&sources, &table),
        [
            "src/beside.rs: a module is a folder with a row in the ring table",
            "the row of `low` looks up, at `high`",
            "the ring table names `gone`, which has no file",
            "the row of `gone` allows `nowhere`, which has no row",
            "src/new has no row in the ring table",
        ]
    );
    let fits = [row("low", 0, &[][..]), row("new", 2, &["low"][..])];
    assert_eq!(rules::table_fits(&sources[..3], &fits), Vec::<String>::new());
}

#[test]
fn banned_things_are_found_where_they_do_not_belong() {
    for (path, text) in [
        ("src/engine/trade.rs", "use std::time::Instant;"),
        ("src/engine/trade.rs", "let at = std::time::SystemTime::now();"),
        ("src/engine/trade.rs", "use std::time::{self, Duration}; let at = time::Instant::now();"),
        ("src/engine/trade.rs", "use std::time::*;"),
        ("src/engine/trade.rs", "use std::*;"),
        ("src/engine/trade.rs", "use std as s; s::thread::spawn(f);"),
        ("src/engine/trade.rs", "let at = jiff::Timestamp::now();"),
        ("src/engine/trade.rs", "let at = jiff::Zoned::now();"),
        ("src/orders/machine.rs", "log::warn!(\"x\");"),
        ("src/orders/machine.rs", "use log::warn;"),
        ("src/outbox/mod.rs", "use crossbeam_channel::Sender;"),
        ("src/outbox/mod.rs", "use std::fs;"),
        ("src/outbox/mod.rs", "std::env::var(\"HOME\")"),
        ("src/startup/mod.rs", "std::process::id()"),
        ("src/startup/mod.rs", "use std::io::Write;"),
        ("src/startup/mod.rs", "use rustix::time;"),
        ("src/shutdown/mod.rs", "static STATE: std::sync::Mutex<u8> = x;"),
        ("src/shutdown/mod.rs", "use std::sync::{Arc, atomic::AtomicU8};"),
        ("src/shutdown/mod.rs", "thread_local! { }"),
        ("src/exchange/book.rs", "use std::collections::HashMap;"),
        ("src/exchange/book.rs", "use std::collections::hash_map::Entry;"),
        ("src/exchange/book.rs", "let seen: HashSet<u8>;"),
        ("src/exchange/book.rs", "let volatility = 0.3;"),
        ("src/exchange/book.rs", "rand::random()"),
        ("src/domain/money.rs", "fn f(x: f64) {}"),
        ("src/cli/run.rs", "let share = 1e3;"),
        ("src/cli/run.rs", "println!(\"x\");"),
        ("src/cli/run.rs", "std::eprintln!(\"x\");"),
        ("src/cli/run.rs", "dbg!(x)"),
        ("src/cli/run.rs", "std::process::exit(1)"),
        ("src/cli/run.rs", "use std::process; process::exit(1)"),
        ("src/cli/run.rs", "std::time::Instant::now()"),
        ("src/cli/run.rs", "std::os::unix::net::UnixStream::connect(x)"),
        ("src/cli/run.rs", "std::thread::spawn(f)"),
        ("src/runtime/loop.rs", "std::time::Instant::now()"),
        ("src/runtime/loop.rs", "crossbeam_channel::tick(x)"),
        ("src/runtime/loop.rs", "use std::net::TcpStream;"),
        ("src/runtime/loop.rs", "std::env::var(x)"),
        ("src/runtime/loop.rs", "use ring::rand::SystemRandom;"),
        ("src/store/lock.rs", "unsafe { x }"),
        ("src/store/lock.rs", "rustix::time::clock_gettime(x)"),
        ("src/lib.rs", "println!()"),
        ("src/main.rs", "std::process::exit(1)"),
    ] {
        assert!(!banned(path, text).is_empty(), "{path}: {text}");
    }
    assert_eq!(
        banned("src/cli/run.rs", "\n\nprintln!()"),
        ["src/cli/run.rs:3: `println`: a closed or full pipe must not stop trading: writeln! to a handle, or the log"]
    );
}

#[test]
fn what_is_at_home_or_harmless_passes() {
    for (path, text) in [
        (
            "src/engine/trade.rs",
            "use std::time::Duration; use std::sync::Arc; use std::fmt; use std::collections::BTreeMap;",
        ),
        ("src/engine/trade.rs", "// std::fs and 1.5 and unsafe\nlet text = \"println!(1.5)\";"),
        (
            "src/engine/trade.rs",
            "#[cfg(test)] mod tests { use std::time::Instant; fn f() { println!(); let x = 0.5; } }",
        ),
        ("src/engine/trade.rs", "self.log.rand.exit(); let log = 1; if unsafe_code != 1 {}"),
        ("src/orders/machine.rs", "mod log { } let print = 1; if print != 2 { }"),
        ("src/runtime/clock.rs", "std::time::Instant::now()"),
        ("src/runtime/loop.rs", "log::info!(\"x\"); std::thread::Builder::new(); use std::collections::HashMap;"),
        ("src/control/server.rs", "use std::os::unix::net::UnixListener; std::thread::Builder::new()"),
        ("src/cli/config.rs", "std::env::var(\"MODE\")"),
        ("src/main.rs", "std::process::ExitCode::from(code); std::env::args_os()"),
        ("src/runtime/trader.rs", "use ring::rand::SystemRandom;"),
        ("tests/it/main.rs", "println!(\"{}\", 0.5)"),
    ] {
        assert_eq!(banned(path, text), Vec::<String>::new(), "{path}: {text}");
    }
}

#[test]
fn a_home_that_is_gone_or_no_longer_needed_is_found() {
    const HOMES: &[Home] = &[Home { place: "src/runtime/clock.rs", why: "the clock" }];
    let ban = Ban { what: "clocks", paths: &["std::time::Instant"], homes: HOMES, ..Ban::EMPTY };
    let clock = |text: &str| [Source::new("src/runtime/clock.rs", text)];
    let gone = ["clocks: at home in src/runtime/clock.rs, which is gone"];
    assert_eq!(ban.stale_homes(&[]), gone);
    assert_eq!(ban.stale_homes(&clock("// nothing left in it")), gone);
    assert_eq!(ban.stale_homes(&clock("std::time::Instant::now()")), Vec::<String>::new());
    assert_eq!(
        ban.stale_homes(&clock("fn f() {}")),
        ["clocks: src/runtime/clock.rs no longer needs its place in the table (the clock)"]
    );
}

#[test]
fn a_forged_proof_is_found() {
    let mint = MINTS.iter().find(|mint| mint.call == "Checked::mint").unwrap();
    let forged = |path: &str, text: &str| mint.forged(&Source::new(path, text)).len();
    assert_eq!(forged("src/engine/trade.rs", "Checked::mint(terms)"), 1);
    assert_eq!(forged("src/runtime/x.rs", "let f = crate::domain::order::Checked::mint;"), 1);
    assert_eq!(forged("src/runtime/x.rs", "use crate::domain::order::Checked as C; C::mint(terms)"), 1);
    assert_eq!(forged("src/engine/risk.rs", "Checked::mint(terms)"), 0);
    assert_eq!(forged("src/engine/trade.rs", "#[cfg(test)] mod tests { fn f() { Checked::mint(terms) } }"), 0);
    assert_eq!(forged("src/domain/order.rs", "/// Checked::mint\nfn mint() {}"), 0);
}

#[test]
fn a_mint_that_nobody_calls_is_found() {
    let mint = Mint { call: "Proof::mint", places: &["src/orders/sweep.rs"] };
    let with = |text: &str| [Source::new("src/orders/sweep.rs", text)];
    let idle = Some("`Proof::mint` is not called in src/orders/sweep.rs".to_owned());
    assert_eq!(mint.idle(&[]), idle);
    assert_eq!(mint.idle(&with("fn f() {}")), idle);
    assert_eq!(mint.idle(&with("fn f() { Proof::mint() }")), None);
}

#[test]
fn ignored_and_unfinished_work_is_found() {
    let ignored = |text: &str| rules::ignored_tests(&Source::new("tests/it/x.rs", text)).len();
    assert_eq!(ignored("#[test]\n#[ignore]\nfn f() {}"), 1);
    assert_eq!(ignored("#[ignore = \"slow\"] fn f() {}"), 1);
    assert_eq!(ignored("#[cfg_attr(feature, ignore)] fn f() {}"), 1);
    assert_eq!(ignored("// #[ignore]\nlet ignore = \"#[ignore]\"; fn ignore() {}"), 0);
    let unfinished = |text: &str| rules::unfinished(&Source::new("src/x/y.rs", text)).len();
    assert_eq!(unfinished("fn f() { todo!() } #[cfg(test)] mod tests { fn g() { unimplemented!(); dbg!(1) } }"), 3);
    assert_eq!(unfinished("// todo!()\nlet todo = 1;"), 0);
    let word = UNFINISHED_WORDS[0];
    let words = |text: &str| rules::banned_words(&Source::new("README.md", text), UNFINISHED_WORDS).len();
    assert_eq!(words(&format!("// {word}: later\n({word})")), 2);
    assert_eq!(words(&format!("a{word} {word}_LIST {word}x")), 0);
}

#[test]
fn a_file_without_a_header_is_found() {
    let missing = |path: &str, text: &str| rules::missing_header(&Source::new(path, text)).len();
    assert_eq!(missing("src/orders/machine.rs", "use x;"), 1);
    assert_eq!(missing("src/orders/machine.rs", "//! The machine.\nuse x;"), 0);
    assert_eq!(missing("src/orders/mod.rs", "//! Orders.\n\npub mod machine;"), 2);
    assert_eq!(
        missing("src/orders/mod.rs", "//! Orders.\n//! Always holds: x.\n//! Never does: y.\npub mod machine;"),
        0
    );
    assert_eq!(missing("src/orders/mod.rs", "//! Orders.\nmod x; // Always holds: Never does:"), 2);
}

#[test]
fn a_long_file_is_found() {
    let long = Source::new("src/orders/machine.rs", &"//\n".repeat(LINES_MAX + 1));
    assert_eq!(rules::too_long(&long, LINES_MAX, &[]).len(), 1);
    assert_eq!(rules::too_long(&long, LINES_MAX, &[("src/orders/machine.rs", LINES_MAX + 5, "one table")]).len(), 0);
    assert_eq!(rules::too_long(&long, LINES_MAX, &[("src/orders/machine.rs", LINES_MAX, "one table")]).len(), 1);
    assert_eq!(rules::too_long(&long, LINES_MAX, &[("src/orders/other.rs", 9_999, "another")]).len(), 1);
    assert_eq!(rules::too_long(&Source::new("x.rs", &"//\n".repeat(LINES_MAX)), LINES_MAX, &[]).len(), 0);
}

#[test]
fn an_exception_for_a_file_that_is_not_long_any_more_is_found() {
    let exceptions = [("long.rs", 9, "one table"), ("short.rs", 9, "a reason"), ("gone.rs", 9, "a reason")];
    let sources = [Source::new("long.rs", "1\n2\n3\n"), Source::new("short.rs", "1\n")];
    assert_eq!(
        rules::stale_lengths(&sources, 2, &exceptions),
        ["short.rs no longer needs its exception (a reason)", "gone.rs no longer needs its exception (a reason)"]
    );
}

#[test]
fn a_path_of_one_machine_is_found() {
    for path in MACHINE_PATHS {
        let text = format!("see {path}x for more");
        assert_eq!(rules::banned_words(&Source::new("README.md", &text), MACHINE_PATHS).len(), 1, "{path}");
    }
    assert_eq!(
        rules::banned_words(&Source::new("README.md", "var/paper, /tmp/x, ./run_live.sh"), MACHINE_PATHS).len(),
        0
    );
}

#[test]
fn a_test_that_sleeps_is_found() {
    let naps = |path: &str, text: &str| rules::naps(&Source::new(path, text), &["tests/it/wait.rs"]).len();
    assert_eq!(naps("tests/it/x.rs", "use std::thread; fn f() { thread::sleep(x) }"), 1);
    assert_eq!(naps("tests/it/wait.rs", "std::thread::sleep(x)"), 0);
    assert_eq!(naps("src/runtime/x.rs", "std::thread::sleep(x)"), 0, "shipped code has its own rule");
    assert_eq!(naps("src/runtime/x.rs", "f();\n#[cfg(test)]\nmod tests {\n fn f() { std::thread::sleep(x) } }"), 1);
}

#[test]
fn a_rule_that_looks_at_nothing_fails() {
    let none: [Source; 0] = [];
    assert_eq!(inspect(&none, |_| Vec::new()).findings.len(), 1);
    assert_eq!(inspect(&[Source::new("src/x/y.rs", "")], |_| Vec::new()).findings.len(), 1, "an empty file is nothing");
    let looked = inspect(&[Source::new("src/x/y.rs", "a\nb\n")], |_| Vec::new());
    assert_eq!((looked.files, looked.lines, looked.findings.len()), (1, 2, 0));
}
