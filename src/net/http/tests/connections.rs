//! Connections: which are used again, which are not, and how they end.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::bounded;

use super::server::{
    Authority, LONG, Peer, SHORT, Server, client, client_of, echo, get, got, lost, not_sent, open_gate, outgoing,
    settings,
};
use crate::net::deadline::Deadline;
use crate::net::http::line::{Dial, Line};
use crate::net::http::{Lane, Outcome, Warmth};
use crate::net::roots::Roots;

#[test]
fn a_connection_made_warm_serves_the_next_call() {
    let authority = Authority::new();
    let (plain, tls) = (Server::plain(echo), Server::tls(authority.good(), echo));
    for (base, server) in [(plain.http(), &plain), (tls.https("localhost"), &tls)] {
        let mut client = client_of(settings(base), authority.roots());
        assert_eq!(client.warm(), Warmth::Opened);
        server.seen.wait("a connection", |seen| seen.n_accepted() == 1);
        for _ in 0..5 {
            assert_eq!(client.warm(), Warmth::Ready);
            got(client.send(&get("/"), &open_gate));
        }
        assert_eq!(server.seen.n_accepted(), 1);
        assert_eq!(server.seen.requests().len(), 5);
    }
}

#[test]
fn a_connection_that_the_server_closed_is_replaced_when_it_is_looked_at() {
    let authority = Authority::new();
    let (closed_tx, closed) = bounded(1);
    let close_the_first = move |number, mut peer: Peer| {
        if number == 0 {
            peer.request();
            peer.answer(200, "");
            closed_tx.send(()).unwrap();
            peer.close();
        } else {
            echo(number, peer);
        }
    };
    let server = Server::tls(authority.good(), close_the_first);
    let mut settings = settings(server.https("localhost"));
    settings.max_idle_age = Duration::from_secs(3_600);
    let mut client = client_of(settings, authority.roots());
    got(client.send(&get("/"), &open_gate));
    closed.recv().unwrap();
    let deadline = Deadline::after(LONG);
    while client.warm() == Warmth::Ready {
        assert!(!deadline.is_over(), "the end of the connection was never noticed");
    }
    server.seen.wait("a second connection", |seen| seen.n_accepted() == 2);
    got(client.send(&outgoing("POST", "/", Some(b"{}")), &open_gate));
    assert_eq!((server.seen.n_accepted(), server.seen.requests().len()), (2, 2));
}

#[test]
fn a_connection_that_rested_too_long_is_not_used_again() {
    let server = Server::plain(echo);
    let mut settings = settings(server.http());
    settings.max_idle_age = Duration::ZERO;
    let mut client = client_of(settings, Roots::public());
    for n in 1..=3 {
        got(client.send(&get("/"), &open_gate));
        assert_eq!(server.seen.n_accepted(), n);
    }
    assert_eq!(client.warm(), Warmth::Opened);
}

#[test]
fn a_server_that_wants_to_close_is_obeyed() {
    let server = Server::plain(|_, mut peer| {
        peer.request();
        peer.say(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}");
        peer.wait_for_the_end();
    });
    let mut client = client(server.http());
    for n in 1..=3 {
        assert_eq!(got(client.send(&get("/"), &open_gate)).1, "{}");
        assert_eq!(server.seen.n_accepted(), n);
    }
}

#[test]
fn words_nobody_asked_for_are_never_the_answer_to_the_next_request() {
    let authority = Authority::new();
    let (first, second) =
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.1 408 X\r\nContent-Length: 0\r\n\r\n");
    // In the same breath as an answer, and when the answer has long been read.
    for late in [false, true] {
        for tls in [false, true] {
            let ((go, may_go), (said_tx, said)) = (bounded::<()>(1), bounded(1));
            let script = move |number, mut peer: Peer| {
                if number > 0 {
                    return echo(number, peer);
                }
                peer.request();
                if late {
                    peer.say(first.as_bytes());
                    may_go.recv().unwrap();
                    peer.say(second.as_bytes());
                } else {
                    peer.say(format!("{first}{second}").as_bytes());
                }
                said_tx.send(()).unwrap();
                peer.wait_for_the_end();
            };
            let config = tls.then(|| Arc::new(authority.good()));
            let server = Server::start("127.0.0.1:0", config, Arc::new(script));
            let base = if tls { server.https("localhost") } else { server.http() };
            let mut client = client_of(settings(base), authority.roots());
            assert_eq!(got(client.send(&get("/"), &open_gate)), (200, "{}".into()));
            go.send(()).unwrap();
            said.recv().unwrap();
            // On one machine, what was said is in the client's kernel before `say` returns.
            assert_eq!(got(client.send(&get("/second"), &open_gate)).0, 200, "late {late}, tls {tls}");
            assert_eq!(server.seen.n_accepted(), 2);
        }
    }
}

#[test]
fn text_that_tls_has_unpacked_and_nobody_read_is_seen_too() {
    let authority = Authority::new();
    let server = Server::tls(authority.good(), |_, mut peer| {
        peer.say(b"ab");
        peer.wait_for_the_end();
    });
    let (address, roots, control) = (server.https("localhost"), authority.roots(), Arc::default());
    let dial = Dial { address: &address, roots: &roots, closes_hard: false, control: &control };
    let mut line = Line::dial(&dial, server.at, Deadline::after(LONG)).unwrap();
    let mut one = [0];
    assert_eq!((line.read(&mut one), one), (Ok(1), *b"a"));
    assert!(!line.is_alive());
}

#[test]
fn creates_are_closed_hard_and_nothing_else_is() {
    for (lane, end) in [(Lane::Create, Err(ErrorKind::ConnectionReset)), (Lane::Cancel, Ok(0)), (Lane::Read, Ok(0))] {
        let (end_tx, ended) = bounded(1);
        let server = Server::plain(move |_, mut peer| {
            peer.request();
            peer.answer(200, "");
            end_tx.send(peer.end()).unwrap();
        });
        let mut settings = settings(server.http());
        settings.lane = lane;
        let mut client = client_of(settings, Roots::public());
        got(client.send(&get("/"), &open_gate));
        drop(client);
        assert_eq!(ended.recv().unwrap(), end, "{lane:?}");
    }
}

#[test]
fn a_reset_after_half_a_request_is_lost() {
    let authority = Authority::new();
    let reset = |_, mut peer: Peer| {
        peer.read_some();
        peer.reset();
    };
    let (plain, tls) = (Server::plain(reset), Server::tls(authority.good(), reset));
    let body = vec![b'x'; 16 << 20];
    for (base, server) in [(plain.http(), &plain), (tls.https("localhost"), &tls)] {
        let mut client = client_of(settings(base), authority.roots());
        let why = lost(client.send(&outgoing("POST", "/", Some(&body)), &open_gate));
        assert!(why.contains("closed") && why.contains("may have arrived"), "{why}");
        assert!(server.seen.n_bytes() > 0 && server.seen.requests().is_empty());
    }
}

#[test]
fn a_server_that_reads_nothing_is_given_up_and_the_request_is_lost() {
    let server = Server::plain(|_, peer| {
        let (_silent, pause) = bounded::<()>(0);
        let _ = pause.recv_timeout(LONG);
        drop(peer);
    });
    let mut client = client(server.http());
    let body = vec![b'x'; 16 << 20];
    let mut request = outgoing("POST", "/", Some(&body));
    request.timeout = SHORT;
    let why = lost(client.send(&request, &open_gate));
    assert!(why.contains("in time"), "{why}");
}

#[test]
fn where_nobody_listens_nothing_is_sent() {
    let server = Server::plain(echo);
    let base = server.http();
    let mut client = client(base.clone());
    drop(server);
    // The listener is gone once its last accept has returned.
    let deadline = Deadline::after(LONG);
    let why = loop {
        match client.send(&get("/"), &open_gate) {
            // Before that, a connection may still stand for a moment, and break.
            Outcome::NotSent(why) if why.contains("refused") => break why,
            _ => assert!(!deadline.is_over()),
        }
    };
    assert!(why.contains("nothing was sent"), "{why}");
    assert!(matches!(client.warm(), Warmth::Cold(_)));
    assert!(not_sent(client.send(&get("/"), &open_gate)).contains(&base.authority()));
}
