//! Everything a service may do to a client besides answering, as the client sees it.

use std::io::{ErrorKind, Read};
use std::time::Duration;

use super::{PATIENCE, Raw, Response, start, until};

#[test]
fn a_hanging_request_gets_nothing_until_the_client_leaves() {
    let (server, stage) = start(|_| {});
    let mut raw = Raw::to(&server);
    raw.get("/hang");
    until("it is asked", || stage.requests.lock().unwrap().len() == 1);
    raw.0.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert_eq!(raw.0.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(server.n_connections(), 1);
    drop(raw);
    until("the connection ends with its client", || server.n_connections() == 0);
}

#[test]
fn a_dropped_connection_ends_without_a_byte_and_a_reset_one_breaks() {
    let (server, _) = start(|_| {});
    let mut raw = Raw::to(&server);
    raw.get("/drop");
    assert_eq!(raw.rest().unwrap(), b"");
    let mut raw = Raw::to(&server);
    raw.get("/reset");
    assert_eq!(raw.rest().unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_truncated_answer_promises_more_than_it_sends() {
    let (server, _) = start(|_| {});
    for (path, promised, sent) in [("/truncated", 10, "0123"), ("/truncated-late", 41, "0123456789")] {
        let mut raw = Raw::to(&server);
        raw.get(path);
        let head = raw.head();
        assert!(head.contains(&format!("content-length: {promised}\r\n")), "{head}");
        assert_eq!(raw.rest().unwrap(), sent.as_bytes());
    }
}

#[test]
fn an_endless_answer_goes_on_until_the_client_leaves() {
    let (server, _) = start(|_| {});
    let mut raw = Raw::to(&server);
    raw.get("/endless");
    assert!(raw.head().contains("transfer-encoding: chunked"));
    let mut some = vec![0; 1 << 20];
    raw.0.read_exact(&mut some).unwrap();
    assert!(some.starts_with(b"a\r\n0123456789\r\na\r\n"));
    drop(raw);
    until("the connection ends with its client", || server.n_connections() == 0);
}

#[test]
fn an_endless_answer_nobody_reads_holds_its_thread_only_so_long() {
    let (server, _) = start(|settings| settings.write_timeout = Duration::from_millis(100));
    let mut raw = Raw::to(&server);
    raw.get("/endless");
    until("it begins", || server.n_connections() == 1);
    until("the connection is given up", || server.n_connections() == 0);
}

#[test]
fn a_dripping_answer_arrives_whole_in_the_end() {
    let (server, _) = start(|_| {});
    let mut raw = Raw::to(&server);
    raw.get("/drip");
    assert_eq!(raw.answer().body, b"0123456789");
    assert_eq!(raw.rest().unwrap(), b"");
}

#[test]
fn raw_bytes_come_as_they_are() {
    let (server, _) = start(|_| {});
    let mut raw = Raw::to(&server);
    raw.get("/raw");
    assert_eq!(raw.rest().unwrap(), b"not even HTTP");
}

#[test]
fn an_answer_may_come_later_and_from_elsewhere() {
    let (server, stage) = start(|_| {});
    let mut raw = Raw::to(&server);
    let mut other = Raw::to(&server);
    raw.get("/held");
    let reply = stage.held.1.recv_timeout(PATIENCE).unwrap();
    // A waiting connection holds nobody up.
    other.get("/echo");
    assert_eq!(other.answer().status, 200);
    let from_elsewhere = std::thread::Builder::new().spawn(move || reply.send(Response::text(200, "later"))).unwrap();
    assert_eq!(raw.answer().body, b"later");
    from_elsewhere.join().unwrap();
    raw.get("/echo");
    assert_eq!(raw.answer().status, 200);
}

#[test]
fn a_service_that_does_not_answer_is_answered_for() {
    let (server, stage) = start(|settings| settings.reply_timeout = Duration::from_millis(50));
    let mut raw = Raw::to(&server);
    raw.get("/unanswered");
    assert_eq!(raw.answer().status, 500);
    raw.get("/held");
    assert_eq!(raw.answer().status, 504);
    // What comes too late goes nowhere, least of all to the next request.
    stage.held.1.recv_timeout(PATIENCE).unwrap().send(Response::text(200, "too late"));
    raw.get("/nothing");
    assert_eq!(raw.answer().status, 404);
}

#[test]
fn a_service_that_panics_loses_that_connection_and_no_other() {
    let (server, _) = start(|_| {});
    let mut other = Raw::to(&server);
    let mut raw = Raw::to(&server);
    raw.get("/panic");
    assert_eq!(raw.rest().unwrap(), b"");
    other.get("/echo");
    assert_eq!(other.answer().status, 200);
    until("its place is free again", || server.n_connections() == 1);
}
