//! The promise that everything else rests on: what is called `NotSent` never arrives, and nothing arrives twice.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::server::{
    Authority, Peer, Seen, Server, client_of, echo, get, got, not_sent, open_gate, outgoing, settings,
};
use crate::net::http::{Lane, Outcome};

#[test]
fn a_gate_that_shuts_between_connecting_and_writing_lets_no_byte_out() {
    let authority = Authority::new();
    let (plain, tls) = (Server::plain(echo), Server::tls(authority.good(), echo));
    for (base, server) in [(plain.http(), &plain), (tls.https("localhost"), &tls)] {
        let mut settings = settings(base);
        settings.lane = Lane::Create;
        let mut client = client_of(settings, authority.roots());
        let n_read = Cell::new(0);
        let shuts = || {
            n_read.set(n_read.get() + 1);
            // It stood open until the connection was made.
            server.seen.wait("a connection", |seen| seen.n_accepted() == 1);
            false
        };
        for n in 1..=3 {
            assert!(not_sent(client.send(&outgoing("POST", "/", Some(b"{}")), &shuts)).contains("gate"));
            assert_eq!(n_read.get(), n, "it is read once a call");
        }
        assert_eq!(server.seen.n_bytes(), 0);
        // The connection is none the worse for it.
        got(client.send(&get("/"), &open_gate));
        assert_eq!((server.seen.n_accepted(), server.seen.requests().len()), (1, 1));
    }
}

#[test]
fn a_gate_that_panics_leaves_a_client_that_works() {
    let server = Server::plain(echo);
    let mut client = client_of(settings(server.http()), crate::net::roots::Roots::public());
    let send = std::panic::AssertUnwindSafe(|| client.send(&get("/"), &|| panic!("planted")));
    assert!(std::panic::catch_unwind(send).is_err());
    assert_eq!(server.seen.n_bytes(), 0);
    got(client.send(&get("/"), &open_gate));
}

/// A row of numbers that look random and repeat from run to run.
struct Chance(AtomicU64);

impl Chance {
    fn below(&self, limit: u64) -> u64 {
        let next = |state: u64| state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let state = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| Some(next(state))).unwrap();
        (next(state) >> 33) % limit
    }

    fn dawdle(&self) {
        for _ in 0..self.below(60_000) {
            std::hint::spin_loop();
        }
    }
}

fn close_at_a_random_moment(chance: &Chance, mut peer: Peer) {
    while peer.request().is_some() {
        let way = chance.below(6);
        // Read, and gone without a word.
        if way == 0 {
            return peer.reset();
        }
        if !peer.answer(200, "{}") {
            return;
        }
        chance.dawdle();
        match way {
            1 => return peer.reset(),
            2 => return peer.vanish(),
            3 => return peer.close(),
            _ => {}
        }
    }
}

fn n_arrived(seen: &Seen) -> BTreeMap<String, usize> {
    let mut n_arrived = BTreeMap::new();
    for request in seen.requests() {
        let path = request.split(' ').nth(1).unwrap().to_owned();
        *n_arrived.entry(path).or_default() += 1;
    }
    n_arrived
}

#[test]
fn whenever_connections_close_nothing_unsent_arrives_and_nothing_arrives_twice() {
    const CALLS: usize = 500;
    let authority = Authority::new();
    for tls in [false, true] {
        let seed = 7 + u64::from(tls);
        println!("seed {seed}");
        let chance = std::sync::Arc::new(Chance(AtomicU64::new(seed)));
        let script = {
            let chance = std::sync::Arc::clone(&chance);
            move |_, peer: Peer| close_at_a_random_moment(&chance, peer)
        };
        let (server, base) = if tls {
            let server = Server::tls(authority.good(), script);
            let base = server.https("localhost");
            (server, base)
        } else {
            let server = Server::plain(script);
            let base = server.http();
            (server, base)
        };
        let mut settings = settings(base);
        settings.lane = Lane::Create;
        let mut client = client_of(settings, authority.roots());
        let (mut n_got, mut n_lost, mut unsent) = (0, 0, Vec::new());
        for call in 0..CALLS {
            let path = format!("/{call}");
            match client.send(&outgoing("POST", &path, Some(b"{\"qty\":1}")), &open_gate) {
                Outcome::Got { .. } => n_got += 1,
                Outcome::Lost(_) => n_lost += 1,
                Outcome::NotSent(_) => unsent.push(path),
            }
            chance.dawdle();
        }
        drop(client);
        let n_arrived = n_arrived(&server.seen);
        println!(
            "tls {tls}: {n_got} answered, {n_lost} lost, {} not sent, {} arrived over {} connections",
            unsent.len(),
            n_arrived.len(),
            server.seen.n_accepted()
        );
        assert!(n_arrived.values().all(|n| *n == 1), "arrived twice: {n_arrived:?}");
        assert!(unsent.iter().all(|path| !n_arrived.contains_key(path)), "called unsent and arrived: {unsent:?}");
        assert!(n_arrived.len() >= n_got, "answered without having arrived");
        // The test is one only if the server did break connections, and calls came through in between.
        assert!(n_got > CALLS / 3 && n_lost > 0 && server.seen.n_accepted() > CALLS / 10);
    }
}
