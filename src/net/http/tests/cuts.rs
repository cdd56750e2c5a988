//! Calls cut short by another thread.

use std::sync::Arc;

use crossbeam_channel::bounded;

use super::server::{
    Authority, LONG, Peer, Server, client, client_of, echo, get, got, lost, not_sent, open_gate, outgoing, settings,
};
use crate::net::http::{Cutter, HttpClient, Outcome, Warmth};

/// Cuts once something is so, while a call is under way.
fn cut_when(server: &Server, cutter: Cutter, what: &'static str, is_so: fn(&super::server::Seen) -> bool) {
    let seen = Arc::clone(&server.seen);
    std::thread::spawn(move || {
        seen.wait(what, is_so);
        cutter.cut();
    });
}

fn stay_silent_first(number: usize, mut peer: Peer) {
    if number == 0 {
        peer.request();
        peer.wait_for_the_end();
    } else {
        echo(number, peer);
    }
}

#[test]
fn a_call_that_waits_for_its_answer_ends_at_once_and_is_lost() {
    let authority = Authority::new();
    let (plain, tls) = (Server::plain(stay_silent_first), Server::tls(authority.good(), stay_silent_first));
    for (base, server) in [(plain.http(), &plain), (tls.https("localhost"), &tls)] {
        let mut client = client_of(settings(base), authority.roots());
        cut_when(server, client.cutter(), "a request", |seen| seen.requests().len() == 1);
        // Without the cut it would last a minute and end by its time-out.
        let why = lost(client.send(&outgoing("POST", "/", Some(b"{}")), &open_gate));
        assert!(why.contains("cut short"), "{why}");
        // The client is as good as new.
        got(client.send(&get("/"), &open_gate));
        assert_eq!(server.seen.n_accepted(), 2);
    }
}

#[test]
fn a_cut_in_the_middle_of_a_body_without_length_is_no_whole_answer() {
    let authority = Authority::new();
    let (said_tx, said) = bounded(2);
    let script = move |_, mut peer: Peer| {
        peer.request();
        peer.say(b"HTTP/1.1 200 OK\r\n\r\n{\"retCode\":0}");
        said_tx.send(()).unwrap();
        peer.wait_for_the_end();
    };
    let server = Server::tls(authority.good(), script.clone());
    let plain = Server::plain(script);
    for base in [plain.http(), server.https("localhost")] {
        let mut client = client_of(settings(base), authority.roots());
        let (cutter, said) = (client.cutter(), said.clone());
        std::thread::spawn(move || {
            said.recv().unwrap();
            cutter.cut();
        });
        assert!(lost(client.send(&get("/"), &open_gate)).contains("cut short"));
    }
}

#[test]
fn a_call_that_shakes_hands_ends_at_once_and_is_not_sent() {
    let server = Server::plain(|_, mut peer| {
        peer.read_some();
        peer.wait_for_the_end();
    });
    let mut client = client(server.https("localhost"));
    cut_when(&server, client.cutter(), "the first word of TLS", |seen| seen.n_bytes() > 0);
    let why = not_sent(client.send(&outgoing("POST", "/", Some(b"{}")), &open_gate));
    // It is not taken for an address that failed, and no other one is tried.
    assert!(why.contains("cut short") && !why.contains("no connection"), "{why}");
}

#[test]
fn a_call_that_cannot_write_ends_at_once_and_is_lost() {
    let (_silent, pause) = bounded::<()>(0);
    let server = Server::plain(move |_, mut peer| {
        peer.read_some();
        let _ = pause.recv_timeout(LONG);
    });
    let mut client = client(server.http());
    cut_when(&server, client.cutter(), "the first bytes", |seen| seen.n_bytes() > 0);
    let body = vec![b'x'; 64 << 20];
    let why = lost(client.send(&outgoing("POST", "/", Some(&body)), &open_gate));
    assert!(why.contains("cut short"), "{why}");
}

#[test]
fn a_cut_between_two_calls_does_nothing() {
    let server = Server::plain(echo);
    let mut client = client(server.http());
    for _ in 0..3 {
        client.cutter().cut();
        got(client.send(&get("/"), &open_gate));
    }
    assert_eq!(server.seen.n_accepted(), 1);
}

#[test]
fn a_cut_at_the_gate_lets_no_byte_out() {
    let server = Server::plain(echo);
    let mut client = client(server.http());
    let cutter = client.cutter();
    let cut_and_leave = || {
        cutter.cut();
        true
    };
    assert!(not_sent(client.send(&get("/"), &cut_and_leave)).contains("cut short"));
    assert_eq!(server.seen.n_bytes(), 0);
}

#[test]
fn a_closed_client_sends_nothing_any_more() {
    let server = Server::plain(stay_silent_first);
    let mut client: HttpClient = client(server.http());
    let (cutter, seen) = (client.cutter(), Arc::clone(&server.seen));
    std::thread::spawn(move || {
        seen.wait("a request", |seen| seen.requests().len() == 1);
        cutter.close();
    });
    assert!(matches!(client.send(&get("/"), &open_gate), Outcome::Lost(_)));
    assert!(not_sent(client.send(&get("/"), &open_gate)).contains("closed"));
    assert!(matches!(client.warm(), Warmth::Cold(_)));
    assert_eq!((server.seen.n_accepted(), server.seen.requests().len()), (1, 1));
}
