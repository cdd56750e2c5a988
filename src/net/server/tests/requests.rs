//! What is served and what is refused.

use proptest::prelude::*;

use super::super::chunks::Chunks;
use super::super::head::{self, Body};
use super::{Raw, start, until};

const CHUNKED: &[u8] =
    b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n \r\nA\r\n0123456789\r\n0\r\nT: x\r\n\r\n";

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let (server, stage) = start(|_| {});
    let mut raw = Raw::to(&server);
    for round in 0..3 {
        raw.say(format!("POST /echo?round={round} HTTP/1.1\r\nhOsT: a\r\nContent-Length: 2\r\nX-A:  b \r\n\r\nhi"));
        let heard = raw.answer();
        assert_eq!((heard.status, heard.body.as_slice()), (200, &b"hi"[..]));
        assert!(heard.head.contains("x-method: POST\n") && !heard.head.contains("connection:"), "{}", heard.head);
    }
    let requests = stage.requests.lock().unwrap();
    let last = requests.last().unwrap();
    assert_eq!((last.path(), last.query(), last.header("x-a")), ("/echo", "round=2", Some("b")));
    assert!(requests.iter().all(|request| request.conn == last.conn));
}

#[test]
fn requests_sent_ahead_are_answered_in_their_order() {
    let (server, _) = start(|_| {});
    let mut raw = Raw::to(&server);
    let ahead: String = ["one", "two", "three"]
        .map(|word| format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{word}", word.len()))
        .concat();
    raw.say(ahead);
    for word in ["one", "two", "three"] {
        assert_eq!(raw.answer().body, word.as_bytes());
    }
}

#[test]
fn a_body_in_chunks_is_the_same_wherever_it_was_split() {
    let (server, _) = start(|_| {});
    let mut raw = Raw::to(&server);
    for at in 1..CHUNKED.len() {
        raw.say(&CHUNKED[..at]);
        raw.say(&CHUNKED[at..]);
        assert_eq!(raw.answer().body, b"hello 0123456789", "split at {at}");
    }
}

#[test]
fn every_half_request_is_waited_for_and_then_served() {
    let whole = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let (server, _) = start(|_| {});
    let mut raw = Raw::to(&server);
    for byte in whole.iter().cycle().take(whole.len() * 2) {
        raw.say([*byte]);
    }
    assert_eq!((raw.answer().body, raw.answer().body), (b"abc".to_vec(), b"abc".to_vec()));
}

#[test]
fn what_two_readers_might_understand_differently_is_refused_and_ends_the_connection() {
    let (server, stage) = start(|settings| {
        settings.body_bytes_max = 100;
        settings.header_bytes_max = 1_000;
    });
    let long = "x".repeat(2_000);
    let many = "A: b\r\n".repeat(80);
    let post = "POST /echo HTTP/1.1\r\nHost: a\r\n";
    for (request, status) in [
        ("\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n".to_owned(), 400),
        ("GET\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/2.0\r\n\r\n".to_owned(), 505),
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET relative HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n".to_owned(), 400),
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nA: {long}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nA: {long}"), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431),
        (format!("{post}Content-Length: 101\r\n\r\n"), 413),
        (format!("{post}Content-Length: 99999999999999999999999999\r\n\r\n"), 413),
        (format!("{post}Content-Length: -1\r\n\r\n"), 400),
        (format!("{post}Content-Length: +5\r\n\r\nhello"), 400),
        (format!("{post}Content-Length: 0x5\r\n\r\nhello"), 400),
        (format!("{post}Content-Length:\r\n\r\n"), 400),
        (format!("{post}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), 400),
        (format!("{post}Content-Length: 5, 5\r\n\r\nhello"), 400),
        (format!("{post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400),
        (format!("{post}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 501),
        (format!("{post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 501),
        ("POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), 400),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\n\r\n\r\n"), 400),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n"), 400),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n"), 400),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\n0\r\nT: x\n\r\n"), 400),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\n0\r\nT: {}\r\n\r\n", "x".repeat(5_000)), 400),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\n5\r\nhelloo\r\n0\r\n\r\n"), 400),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n"), 400),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\n65\r\n"), 413),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"), 413),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\n1;{long}\r\n"), 400),
        (format!("{post}Expect: a miracle\r\nContent-Length: 1\r\n\r\nx"), 417),
    ] {
        let mut raw = Raw::to(&server);
        raw.say(&request);
        let heard = raw.answer();
        assert_eq!(heard.status, status, "{request:?} was told {heard:?}");
        assert!(heard.head.contains("connection: close\n"), "{request:?}");
        assert_eq!(raw.rest().unwrap(), b"", "{request:?}");
    }
    assert!(stage.requests.lock().unwrap().is_empty());
}

#[test]
fn a_refusal_arrives_although_the_body_is_on_its_way() {
    let (server, _) = start(|settings| settings.body_bytes_max = 100);
    let mut raw = Raw::to(&server);
    raw.say("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n");
    raw.say(vec![b'x'; 500_000]);
    assert_eq!(raw.answer().status, 413);
    assert_eq!(raw.rest().unwrap(), b"");
}

#[test]
fn a_client_that_asks_first_is_told_to_go_on() {
    let (server, _) = start(|settings| settings.body_bytes_max = 10);
    let mut raw = Raw::to(&server);
    raw.say("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(raw.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    raw.say("hello");
    assert_eq!(raw.answer().body, b"hello");
    // And one whose body will not be taken is told before it sends it.
    raw.say("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n");
    assert_eq!(raw.answer().status, 413);
}

#[test]
fn answers_without_a_body_leave_the_connection_in_step() {
    let (server, _) = start(|_| {});
    let mut raw = Raw::to(&server);
    raw.say("HEAD /nothing HTTP/1.1\r\nHost: a\r\n\r\n");
    let heard = raw.answer_to("HEAD");
    assert_eq!(heard.status, 404);
    assert!(heard.head.contains("content-length: 13\n"), "{}", heard.head);
    raw.get("/empty");
    let heard = raw.answer();
    assert!(heard.status == 204 && !heard.head.contains("content-length"), "{}", heard.head);
    raw.say("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(raw.answer().body, b"hi");
}

#[test]
fn the_client_says_whether_the_connection_stays() {
    for (request, word, stays) in [
        ("GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", Some("close"), false),
        ("GET /echo HTTP/1.0\r\n\r\n", Some("close"), false),
        ("GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", Some("keep-alive"), true),
        ("GET http://other/echo?x HTTP/1.1\r\nHost: a\r\n\r\n", None, true),
    ] {
        let (server, _) = start(|_| {});
        let mut raw = Raw::to(&server);
        raw.say(request);
        let heard = raw.answer();
        let said = heard.head.lines().find_map(|line| line.strip_prefix("connection: "));
        assert_eq!((heard.status, said), (200, word), "{request}");
        if stays {
            raw.get("/echo");
            assert_eq!(raw.answer().status, 200);
        } else {
            assert_eq!(raw.rest().unwrap(), b"");
        }
    }
}

#[test]
fn a_client_that_has_ended_its_side_is_still_answered() {
    let (server, stage) = start(|_| {});
    let mut raw = Raw::to(&server);
    raw.get("/held");
    let reply = stage.held.1.recv_timeout(super::PATIENCE).unwrap();
    raw.0.shutdown(std::net::Shutdown::Write).unwrap();
    reply.send(super::Response::text(200, "late"));
    assert_eq!(raw.answer().body, b"late");
    assert_eq!(raw.rest().unwrap(), b"");
    until("the connection ends", || server.n_connections() == 0);
}

#[test]
fn a_service_cannot_split_its_answer_in_two() {
    let (server, _) = start(|_| {});
    let mut raw = Raw::to(&server);
    for path in ["/broken-header", "/broken-status"] {
        raw.get(path);
        let heard = raw.answer();
        assert_eq!(heard.status, 500, "{path}");
        assert!(!heard.head.contains("x-c"), "{path}");
    }
}

#[test]
fn nothing_secret_is_in_the_debug_text_of_a_request() {
    let (server, stage) = start(|_| {});
    let mut raw = Raw::to(&server);
    raw.say("POST /echo?sign=canary HTTP/1.1\r\nHost: a\r\nX-Key: canary\r\nContent-Length: 6\r\n\r\ncanary");
    assert_eq!(raw.answer().status, 200);
    let shown = format!("{:?}", stage.requests.lock().unwrap()[0]);
    assert!(shown.contains("/echo") && !shown.contains("canary"), "{shown}");
}

/// A head that is right but for some bytes that are not.
fn nearly_a_head() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>());
    prop::collection::vec(change, 0..4).prop_map(|changes| {
        let mut bytes = CHUNKED.to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

proptest! {
    #[test]
    fn whatever_comes_in_is_read_or_refused_and_never_panics(
        bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..600), nearly_a_head()],
        splits in prop::collection::vec(1_usize..40, 1..20),
    ) {
        if let Ok(Some((head, length))) = head::parse(&bytes, 16_384, 1_000) {
            prop_assert!(length <= bytes.len());
            prop_assert!(matches!(head.body, Body::Chunked | Body::Length(0..=1_000)));
            let _ = head::socket_key(&head);
        }
        // Split in any way, chunks come to the same end.
        let mut whole = Chunks::new(200);
        let together = whole.take(&bytes).map(|_| whole.is_done());
        let mut parts = Chunks::new(200);
        let mut unread = Vec::new();
        let mut apart = Ok(false);
        let mut rest = bytes.as_slice();
        for split in splits.iter().cycle() {
            let (now, later) = rest.split_at((*split).min(rest.len()));
            unread.extend_from_slice(now);
            rest = later;
            match parts.take(&unread) {
                Ok(used) => unread.drain(..used),
                Err(refusal) => { apart = Err(refusal); break }
            };
            apart = Ok(parts.is_done());
            if rest.is_empty() || parts.is_done() { break }
        }
        prop_assert_eq!(together.is_ok(), apart.is_ok());
        if together == Ok(true) {
            prop_assert_eq!(apart, Ok(true));
            let (whole, parts) = (whole.into_body(), parts.into_body());
            prop_assert!(whole.len() <= 200);
            prop_assert_eq!(whole, parts);
        }
    }

    #[test]
    fn a_body_in_chunks_is_put_together_again(
        body in prop::collection::vec(any::<u8>(), 0..300),
        sizes in prop::collection::vec(1_usize..50, 1..10),
        behind in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut bytes = Vec::new();
        let mut rest = body.as_slice();
        for size in sizes.iter().cycle() {
            let (chunk, later) = rest.split_at((*size).min(rest.len()));
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            if chunk.is_empty() { break }
            bytes.extend_from_slice(b"\r\n");
            rest = later;
        }
        bytes.extend_from_slice(b"\r\n");
        let length = bytes.len();
        bytes.extend_from_slice(&behind);
        let mut chunks = Chunks::new(300);
        prop_assert_eq!(chunks.take(&bytes), Ok(length));
        prop_assert!(chunks.is_done());
        prop_assert_eq!(chunks.into_body(), body);
    }
}
