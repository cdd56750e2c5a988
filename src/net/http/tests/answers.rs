//! Answers that are none.

use super::server::{Authority, Peer, Server, client, client_of, get, got, lost, open_gate, outgoing, settings};
use crate::net::http::{Outcome, Outgoing};

fn flood(mut peer: Peer, head: &[u8], again: &[u8]) {
    if peer.say(head) {
        while peer.say(again) {}
    }
}

/// The outcome when a server does this with the first request.
fn outcome_of(tls: Option<&Authority>, script: impl Fn(Peer) + Send + Sync + 'static) -> Outcome {
    let script = move |_, mut peer: Peer| {
        peer.request();
        script(peer);
    };
    let (base, roots, _server) = match tls {
        None => {
            let server = Server::plain(script);
            (server.http(), crate::net::roots::Roots::public(), server)
        }
        Some(authority) => {
            let server = Server::tls(authority.good(), script);
            (server.https("localhost"), authority.roots(), server)
        }
    };
    let mut settings = settings(base);
    settings.body_bytes_max = 100_000;
    client_of(settings, roots).send(&outgoing("POST", "/", Some(b"{}")), &open_gate)
}

#[test]
fn an_answer_that_is_not_whole_is_lost() {
    let authority = Authority::new();
    type Move = fn(Peer);
    let moves: &[(&str, Move, &str)] = &[
        ("no word", |peer| peer.close(), "closed"),
        ("no word, and a reset", |peer| peer.reset(), "closed"),
        (
            "half a head",
            |mut peer| {
                peer.say(b"HTTP/1.1 200 OK\r\nContent-Le");
                peer.close();
            },
            "closed",
        ),
        (
            "a body shorter than announced",
            |mut peer| {
                peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"retCode\":0");
                peer.close();
            },
            "closed",
        ),
        (
            "a reset in the middle of a body",
            |mut peer| {
                peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"retCode\":0");
                peer.reset();
            },
            "closed",
        ),
        (
            "half a chunk",
            |mut peer| {
                peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"retCode\":0");
                peer.close();
            },
            "closed",
        ),
        (
            "chunks without the last one",
            |mut peer| {
                peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n");
                peer.close();
            },
            "closed",
        ),
        (
            "a chunk without a length",
            |mut peer| {
                peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n");
                peer.wait_for_the_end();
            },
            "",
        ),
        (
            "garbage",
            |mut peer| {
                peer.say(b"\x00\x01\x02 this is no HTTP\r\n\r\n");
                peer.wait_for_the_end();
            },
            "not HTTP",
        ),
        (
            "two lengths",
            |mut peer| {
                peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}");
                peer.wait_for_the_end();
            },
            "",
        ),
        (
            "a length that is no number",
            |mut peer| {
                peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}");
                peer.wait_for_the_end();
            },
            "",
        ),
        (
            "a head without end",
            |peer| flood(peer, b"HTTP/1.1 200 OK\r\n", b"X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"),
            "",
        ),
        ("a header without end", |peer| flood(peer, b"HTTP/1.1 200 OK\r\nX-A: ", &[b'a'; 4_096]), "too large"),
        (
            "a head too large",
            |mut peer| {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: {}\r\n\r\n", "a".repeat(17_000));
                peer.say(head.as_bytes());
                peer.wait_for_the_end();
            },
            "too large",
        ),
        (
            "too many headers",
            |mut peer| {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{}\r\n", "A: b\r\n".repeat(200));
                peer.say(head.as_bytes());
                peer.wait_for_the_end();
            },
            "not HTTP",
        ),
        (
            "a body announced too long",
            |mut peer| {
                peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n");
                peer.wait_for_the_end();
            },
            "longer than 100000 bytes",
        ),
        (
            "a body announced as endless",
            |mut peer| {
                peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n");
                peer.wait_for_the_end();
            },
            "longer than 100000 bytes",
        ),
        (
            "chunks without end",
            |peer| flood(peer, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"4\r\naaaa\r\n"),
            "longer than 100000 bytes",
        ),
        (
            "a length of a chunk without end",
            |peer| flood(peer, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &[b'0'; 4_096]),
            "",
        ),
        ("a body without length or end", |peer| flood(peer, b"HTTP/1.1 200 OK\r\n\r\n", &[b'a'; 4_096]), "longer than"),
        (
            "a reset in a body without length",
            |mut peer| {
                peer.say(b"HTTP/1.1 200 OK\r\n\r\n{\"retCode\":0}");
                peer.reset();
            },
            "closed",
        ),
    ];
    for (what, play, why) in moves {
        for tls in [None, Some(&authority)] {
            let lost = lost(outcome_of(tls, *play));
            assert!(lost.contains(why) && lost.contains("may have arrived"), "{what}: {lost}");
            assert!(lost.len() < 300, "{what}: {lost}");
        }
    }
}

#[test]
fn an_end_without_the_farewell_of_tls_is_no_end() {
    let authority = Authority::new();
    let say = |peer: &mut Peer| peer.say(b"HTTP/1.1 200 OK\r\n\r\n{\"retCode\":0}");
    let outcome = outcome_of(Some(&authority), move |mut peer| {
        say(&mut peer);
        peer.vanish();
    });
    assert!(lost(outcome).contains("closed"));
    for tls in [None, Some(&authority)] {
        let outcome = outcome_of(tls, move |mut peer| {
            say(&mut peer);
            peer.close();
        });
        assert_eq!(got(outcome), (200, "{\"retCode\":0}".into()));
    }
}

#[test]
fn the_largest_body_comes_whole() {
    let authority = Authority::new();
    for tls in [None, Some(&authority)] {
        for chunked in [false, true] {
            let outcome = outcome_of(tls, move |mut peer| {
                let body = "b".repeat(100_000);
                if chunked {
                    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                    peer.say(format!("{head}186A0\r\n{body}\r\n0\r\n\r\n").as_bytes());
                } else {
                    peer.answer(200, &body);
                }
                peer.wait_for_the_end();
            });
            assert_eq!(got(outcome).1.len(), 100_000);
        }
    }
}

#[test]
fn preliminary_answers_are_passed_over() {
    let outcome = outcome_of(None, |mut peer| {
        peer.say(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        peer.answer(200, "{}");
        peer.wait_for_the_end();
    });
    assert_eq!(got(outcome), (200, "{}".into()));
}

#[test]
fn whoever_does_not_answer_in_time_is_given_up() {
    type Move = fn(Peer);
    let moves: &[(&str, Move)] = &[
        ("silence", |peer| peer.wait_for_the_end()),
        ("a head byte by byte", |mut peer| {
            peer.drip(b"HTTP/1.1 200 OK\r\n".iter().copied().chain(std::iter::repeat(b'a')));
        }),
        ("a body byte by byte", |mut peer| {
            peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n");
            peer.drip(std::iter::repeat(b'a'));
        }),
        ("chunks byte by byte", |mut peer| {
            peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            peer.drip(b"1\r\na\r\n".iter().copied().cycle());
        }),
        ("hints without end", |mut peer| {
            peer.drip(b"HTTP/1.1 103 Hints\r\n\r\n".iter().copied().cycle());
        }),
    ];
    for (what, play) in moves {
        let server = Server::plain(|_, mut peer| {
            peer.request();
            play(peer);
        });
        // Asked by the request, and by the client where the request asks for more.
        for by_request in [true, false] {
            let mut settings = settings(server.http());
            let mut request = outgoing("POST", "/", Some(b"{}"));
            let timeout = if by_request { &mut request.timeout } else { &mut settings.total_timeout };
            *timeout = super::server::SHORT;
            let why = lost(client_of(settings, crate::net::roots::Roots::public()).send(&request, &open_gate));
            assert!(why.contains("in time"), "{what}: {why}");
        }
    }
}

#[test]
fn a_time_of_nothing_sends_nothing() {
    let server = Server::plain(super::server::echo);
    let mut client = client(server.http());
    let request = Outgoing { timeout: std::time::Duration::ZERO, ..get("/") };
    super::server::not_sent(client.send(&request, &open_gate));
    got(client.send(&get("/"), &open_gate));
    super::server::not_sent(client.send(&request, &open_gate));
    assert_eq!(server.seen.requests().len(), 1);
}
