//! Clients that are many, slow, silent or gone; and closing while they are.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::{PATIENCE, Raw, start, start_at, until};
use crate::net::server::Closed;

const SHORT: Duration = Duration::from_millis(100);

#[test]
fn two_hundred_clients_with_half_a_head_do_not_keep_their_threads() {
    let (server, stage) = start(|settings| settings.header_timeout = Duration::from_millis(500));
    let mut clients: Vec<Raw> = (0..200)
        .map(|number| {
            let mut client = Raw::to(&server);
            // On a busy machine the first may be given up before they have spoken.
            let _ = client.0.write_all(&b"GET /echo HTTP/1.1\r\nHost: a\r\nX-Slow: "[..number % 30]);
            client
        })
        .collect();
    for client in &mut clients {
        let told = client.rest().unwrap_or_default();
        assert!(told.is_empty() || told.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&told));
    }
    until("all threads are free", || server.n_connections() == 0);
    assert!(stage.requests.lock().unwrap().is_empty());
    let mut raw = Raw::to(&server);
    raw.get("/echo");
    assert_eq!(raw.answer().status, 200);
}

#[test]
fn dripping_heads_and_bodies_end_by_the_clock() {
    let (server, stage) = start(|settings| {
        settings.header_timeout = SHORT;
        settings.body_timeout = SHORT;
    });
    for beginning in ["GET /", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"] {
        let mut raw = Raw::to(&server);
        raw.say(beginning);
        // Drips until it is told to stop by the end of the connection.
        let dripping = raw.0.try_clone().unwrap();
        let drip = std::thread::Builder::new().spawn(move || {
            let (_keep, pause) = crossbeam_channel::bounded::<()>(1);
            while (&dripping).write_all(b"a").is_ok() {
                let _ = pause.recv_timeout(Duration::from_millis(5));
            }
        });
        assert!(raw.head().starts_with("HTTP/1.1 408 "), "{beginning}");
        until("the connection is given up", || server.n_connections() == 0);
        drip.unwrap().join().unwrap();
    }
    assert!(stage.requests.lock().unwrap().is_empty());
}

#[test]
fn a_connection_at_rest_is_closed_after_its_time() {
    let (server, _) = start(|settings| settings.idle_timeout = SHORT);
    let mut raw = Raw::to(&server);
    raw.get("/echo");
    assert_eq!(raw.answer().status, 200);
    assert_eq!(raw.rest().unwrap(), b"");
}

#[test]
fn a_client_that_never_reads_its_answer_loses_it() {
    let (server, stage) = start(|settings| settings.write_timeout = SHORT);
    let mut raw = Raw::to(&server);
    raw.get("/large");
    until("it is asked", || stage.requests.lock().unwrap().len() == 1);
    until("the connection is given up", || server.n_connections() == 0);
}

#[test]
fn over_the_cap_clients_are_told_so_and_a_free_place_is_used_again() {
    let (server, _) = start(|settings| settings.connections_max = 3);
    let mut served: Vec<Raw> = (0..3).map(|_| Raw::to(&server)).collect();
    for raw in &mut served {
        raw.get("/echo");
        assert_eq!(raw.answer().status, 200);
    }
    for _ in 0..20 {
        let mut raw = Raw::to(&server);
        raw.get("/echo");
        let heard = raw.answer();
        assert_eq!(heard.status, 503);
        assert_eq!(raw.rest().unwrap(), b"");
    }
    assert_eq!(server.n_connections(), 3);
    served.pop();
    until("the place is free", || server.n_connections() == 2);
    let mut raw = Raw::to(&server);
    raw.get("/echo");
    assert_eq!(raw.answer().status, 200);
}

#[test]
fn closing_ends_all_kinds_of_waiting_and_frees_the_port() {
    // An address of its own: at the usual one somebody else may take the port as soon as it is free.
    let (server, stage) = start_at("127.0.0.8:0", |_| {});
    let address = server.local_addr();
    let mut idle = Raw::to(&server);
    idle.get("/echo");
    assert_eq!(idle.answer().status, 200);
    let mut half = Raw::to(&server);
    half.say("GET /");
    let mut hanging = Raw::to(&server);
    hanging.get("/hang");
    let mut endless = Raw::to(&server);
    endless.get("/endless");
    let mut waiting = Raw::to(&server);
    waiting.get("/held");
    let _reply = stage.held.1.recv_timeout(PATIENCE).unwrap();
    until("all are served", || server.n_connections() == 5 && stage.requests.lock().unwrap().len() == 4);
    // Five and the door.
    assert_eq!(server.close(PATIENCE), Closed { n_joined: 6, late: Vec::new() });
    assert_eq!(idle.rest().unwrap(), b"");
    // What the server had not read yet turns the end into a reset.
    let told = half.rest().unwrap_or_default();
    assert!(told.is_empty() || told.starts_with(b"HTTP/1.1 503 "));
    assert_eq!(hanging.rest().unwrap(), b"");
    assert_eq!(waiting.answer().status, 503);
    let refused = TcpStream::connect(address).map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn closing_names_the_threads_that_do_not_end() {
    let (server, stage) = start(|_| {});
    let mut raw = Raw::to(&server);
    raw.get("/stuck");
    until("it is stuck", || stage.requests.lock().unwrap().len() == 1);
    assert_eq!(server.close(SHORT), Closed { n_joined: 1, late: vec!["test.1".to_owned()] });
    stage.unstick.0.send(()).unwrap();
}

#[test]
fn an_answer_that_is_there_is_not_swallowed_by_closing() {
    for _ in 0..50 {
        let (server, stage) = start(|_| {});
        let mut raw = Raw::to(&server);
        raw.get("/held");
        stage.held.1.recv_timeout(PATIENCE).unwrap().send(super::Response::text(200, "said"));
        server.close(PATIENCE);
        assert_eq!(raw.answer().body, b"said");
    }
}

#[test]
fn a_dropped_server_ends_its_connections() {
    let (server, _) = start(|_| {});
    let mut raw = Raw::to(&server);
    raw.get("/echo");
    assert_eq!(raw.answer().status, 200);
    drop(server);
    assert_eq!(raw.rest().unwrap(), b"");
}
