//! WebSockets as a client sees them who writes its own frames.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use super::{PATIENCE, Raw, start, until};

const WISH: &str = "Host: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A masked frame, with a mask that changes nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=65_535 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

impl Raw {
    fn upgrade(&mut self) {
        self.say(format!("GET /ws?a=b HTTP/1.1\r\n{WISH}\r\n"));
        let head = self.head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        // The example of RFC 6455.
        assert!(head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
    }

    /// First byte and payload of the next frame.
    fn frame(&mut self) -> (u8, Vec<u8>) {
        let mut start = [0; 2];
        self.0.read_exact(&mut start).unwrap();
        let length = match start[1] {
            126 => {
                let mut length = [0; 2];
                self.0.read_exact(&mut length).unwrap();
                u64::from(u16::from_be_bytes(length))
            }
            127 => {
                let mut length = [0; 8];
                self.0.read_exact(&mut length).unwrap();
                u64::from_be_bytes(length)
            }
            length => u64::from(length),
        };
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).unwrap();
        (start[0], payload)
    }

    /// The code of a close frame, which must be what comes next.
    fn close_code(&mut self) -> u16 {
        let (first, payload) = self.frame();
        assert_eq!(first, 0x88);
        u16::from_be_bytes([payload[0], payload[1]])
    }
}

#[test]
fn texts_go_both_ways_in_their_order_and_the_end_is_told_once() {
    let (server, stage) = start(|_| {});
    let mut raw = Raw::to(&server);
    raw.upgrade();
    assert_eq!(stage.next_heard(), "1 open /ws?a=b 1");
    let to = stage.next_opened();
    for number in 0..100 {
        assert!(to.text(format!("down {number}")));
        raw.say(frame(0x81, format!("up {number}").as_bytes()));
    }
    for number in 0..100 {
        assert_eq!(raw.frame(), (0x81, format!("down {number}").into_bytes()));
        assert_eq!(stage.next_heard(), format!("1 up {number}"));
    }
    raw.say(frame(0x88, &1_000_u16.to_be_bytes()));
    assert_eq!(raw.close_code(), 1_000);
    assert_eq!(raw.rest().unwrap(), b"");
    assert_eq!(stage.next_heard(), "1 closed");
    until("the sender knows", || to.is_ended());
    assert!(!to.text("too late"));
    until("its place is free", || server.n_connections() == 0);
    assert!(stage.heard.1.try_recv().is_err());
}

#[test]
fn frames_in_pieces_and_messages_in_frames_are_put_together() {
    let (server, stage) = start(|_| {});
    let mut raw = Raw::to(&server);
    // The first frame comes together with the wish.
    raw.say([format!("GET /ws HTTP/1.1\r\n{WISH}\r\n").into_bytes(), frame(0x81, b"early")].concat());
    raw.head();
    assert_eq!(stage.next_heard(), "1 open /ws 1");
    assert_eq!(stage.next_heard(), "1 early");
    for byte in [frame(0x01, b"one "), frame(0x89, b"between"), frame(0x00, b"two "), frame(0x80, b"three")].concat() {
        raw.say([byte]);
    }
    assert_eq!(raw.frame(), (0x8a, b"between".to_vec()));
    assert_eq!(stage.next_heard(), "1 one two three");
}

#[test]
fn a_peer_that_breaks_the_rules_is_told_which_one() {
    let many = vec![b'x'; 1_001];
    for (bytes, code) in [
        (frame(0x81, &many), 1_009),
        ([frame(0x01, &many[..600]), frame(0x80, &many[..600])].concat(), 1_009),
        ([&[0x81, 0xff][..], &[0xff; 8], &[0; 4]].concat(), 1_009),
        (frame(0x81, b"\xff\xfe"), 1_007),
        (frame(0x82, b"binary"), 1_003),
        (vec![0x81, 0x01, b'x'], 1_002),
        (frame(0xc1, b"reserved"), 1_002),
        (frame(0x83, b"unknown"), 1_002),
        (frame(0x80, b"no beginning"), 1_002),
        (frame(0x09, b"a ping in parts"), 1_002),
    ] {
        let (server, stage) = start(|settings| settings.socket_message_bytes_max = 1_000);
        let mut raw = Raw::to(&server);
        raw.upgrade();
        raw.say(&bytes);
        assert_eq!(raw.close_code(), code, "{:?}", &bytes[..bytes.len().min(20)]);
        drop(raw);
        assert_eq!(stage.next_heard(), "1 open /ws?a=b 1");
        assert_eq!(stage.next_heard(), "1 closed");
        until("its place is free", || server.n_connections() == 0);
    }
}

#[test]
fn the_largest_message_is_taken() {
    let (server, stage) = start(|settings| settings.socket_message_bytes_max = 100_000);
    let mut raw = Raw::to(&server);
    raw.upgrade();
    stage.next_heard();
    raw.say(frame(0x81, &vec![b'x'; 100_000]));
    assert_eq!(stage.next_heard(), "1 100000 bytes");
    assert!(stage.next_opened().text("y".repeat(300_000)));
    assert_eq!(raw.frame().1.len(), 300_000);
}

#[test]
fn a_service_closes_drops_or_resets() {
    let (server, stage) = start(|_| {});
    let open = || {
        let mut raw = Raw::to(&server);
        raw.upgrade();
        (raw, stage.next_opened())
    };
    let (mut raw, to) = open();
    to.text("first");
    to.close(4_001, &"ä".repeat(200));
    to.text("never");
    assert_eq!(raw.frame(), (0x81, b"first".to_vec()));
    let (_, payload) = raw.frame();
    assert!(payload.starts_with(&4_001_u16.to_be_bytes()) && payload.len() <= 125);
    raw.say(frame(0x88, &payload[..2]));
    assert_eq!(raw.rest().unwrap(), b"");

    let (mut raw, to) = open();
    to.drop_connection();
    assert_eq!(raw.rest().unwrap(), b"");

    let (mut raw, to) = open();
    to.reset_connection();
    assert_eq!(raw.rest().unwrap_err().kind(), ErrorKind::ConnectionReset);
    until("all places are free", || server.n_connections() == 0);
}

#[test]
fn a_peer_that_does_not_answer_a_close_frame_is_left() {
    let (server, stage) = start(|_| {});
    let mut raw = Raw::to(&server);
    raw.upgrade();
    stage.next_opened().close(1_000, "");
    assert_eq!(raw.close_code(), 1_000);
    assert_eq!(raw.rest().unwrap(), b"");
}

#[test]
fn a_silent_socket_neither_speaks_nor_answers_but_stays() {
    let (server, stage) = start(|_| {});
    let mut raw = Raw::to(&server);
    raw.upgrade();
    stage.next_heard();
    let to = stage.next_opened();
    to.fall_silent();
    assert!(to.text("swallowed"));
    raw.say(frame(0x89, b"are you there"));
    raw.say(frame(0x81, b"hello"));
    raw.0.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert_eq!(raw.0.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(server.n_connections(), 1);
    // It can still get worse.
    raw.0.set_read_timeout(Some(PATIENCE)).unwrap();
    to.reset_connection();
    assert_eq!(raw.rest().unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(stage.next_heard(), "1 closed");

    let mut raw = Raw::to(&server);
    raw.upgrade();
    stage.next_opened().fall_silent();
    drop(raw);
    until("a silent socket ends with its peer", || server.n_connections() == 0);
}

#[test]
fn a_peer_that_does_not_read_loses_the_connection_and_holds_nobody_up() {
    let (server, stage) = start(|settings| settings.socket_queue_max = 10);
    let mut raw = Raw::to(&server);
    raw.upgrade();
    let to = stage.next_opened();
    // Each call returns at once; the kernel's buffers are full sooner or later, and then the queue is.
    until("the peer has fallen behind", || !to.text("x".repeat(100_000)));
    until("the connection ends", || server.n_connections() == 0);
    assert!(!to.text("more"));
}

#[test]
fn what_was_begun_and_is_not_read_is_given_up_after_its_time() {
    let (server, stage) = start(|settings| settings.write_timeout = Duration::from_millis(100));
    let mut raw = Raw::to(&server);
    raw.upgrade();
    assert!(stage.next_opened().text("x".repeat(64 << 20)));
    until("the connection ends", || server.n_connections() == 0);
}

#[test]
fn a_peer_that_does_not_read_is_not_listened_to_for_ever() {
    let (server, _) = start(|_| {});
    let mut raw = Raw::to(&server);
    raw.upgrade();
    raw.0.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    // Nobody reads the pongs, so sooner or later nobody reads the pings: more than the kernel holds is not taken.
    let pings = frame(0x89, &[b'x'; 125]).repeat(8_000);
    let n_taken = (0..100).take_while(|_| raw.0.write_all(&pings).is_ok()).count();
    assert!(n_taken < 100);
    drop(raw);
    until("the connection ends", || server.n_connections() == 0);
}

#[test]
fn a_peer_that_says_nothing_for_too_long_is_let_go() {
    let (server, stage) = start(|settings| settings.socket_idle_timeout = Duration::from_millis(100));
    let mut raw = Raw::to(&server);
    raw.upgrade();
    // Half a frame is nothing said.
    raw.say(&frame(0x81, b"hello")[..4]);
    assert_eq!(raw.rest().unwrap(), b"");
    stage.next_heard();
    assert_eq!(stage.next_heard(), "1 closed");
}

#[test]
fn a_wish_that_is_not_granted_is_answered_like_any_request() {
    let (server, stage) = start(|_| {});
    let mut raw = Raw::to(&server);
    raw.say(format!("GET /ws/denied HTTP/1.1\r\n{WISH}\r\n"));
    let heard = raw.answer();
    assert_eq!((heard.status, heard.body.as_slice()), (401, &br#"{"retCode":10003}"#[..]));
    // And the connection goes on.
    raw.upgrade();
    assert_eq!(stage.next_heard(), "1 open /ws?a=b 1");
}

#[test]
fn a_wish_that_cannot_be_granted_is_refused() {
    for (wrong, right, status) in [
        ("Version: 13", "Version: 8", 426),
        ("dGhlIHNhbXBsZSBub25jZQ==", "short", 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ!=", 400),
        ("Sec-WebSocket-Key", "Sec-WebSocket-Kay", 400),
        ("Upgrade: websocket\r\n", "Upgrade: websocket\r\nContent-Length: 1\r\n", 400),
        // These are no wishes at all.
        ("Upgrade: websocket", "Upgrade: h2c", 404),
        ("keep-alive, Upgrade", "keep-alive", 404),
    ] {
        let (server, _) = start(|_| {});
        let mut raw = Raw::to(&server);
        raw.say(format!("GET /ws HTTP/1.1\r\n{}\r\n", WISH.replace(wrong, right)));
        assert_eq!(raw.answer().status, status, "{right}");
    }
}

#[test]
fn closing_the_server_tells_every_socket() {
    let (server, stage) = start(|_| {});
    let mut raws: Vec<Raw> = (0..5).map(|_| Raw::to(&server)).collect();
    for raw in &mut raws {
        raw.upgrade();
    }
    let silent = {
        let mut raw = Raw::to(&server);
        raw.upgrade();
        raw
    };
    let senders: Vec<_> = (0..6).map(|_| stage.next_opened()).collect();
    senders[5].fall_silent();
    let closed = server.close(PATIENCE);
    assert_eq!((closed.n_joined, closed.late.len()), (7, 0));
    for raw in &mut raws {
        assert_eq!(raw.close_code(), 1_001);
    }
    drop(silent);
    let n_closed = stage.heard.1.try_iter().filter(|heard| heard.ends_with("closed")).count();
    assert_eq!(n_closed, 6);
}
