//! Sessions against our own server, and against peers that write their own bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::net::deadline::Deadline;
use crate::net::server::{ConnId, Incoming, Reply, Response, Server, Service, SocketSender};

/// Far longer than anything takes; nothing is asserted about it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Answers every text with the same text.
struct Echo {
    senders: Mutex<Vec<(ConnId, SocketSender)>>,
    opened: (Sender<SocketSender>, Receiver<SocketSender>),
    refusal: Mutex<Response>,
}

impl Service for Echo {
    fn http(&self, request: Incoming, reply: Reply) {
        match request.path() {
            "/silent" => reply.hang(),
            "/drop" => reply.drop_connection(),
            _ => reply.send(self.refusal.lock().unwrap().clone()),
        }
    }
    fn upgrade(&self, request: &Incoming) -> bool {
        request.path() == "/ws"
    }
    fn socket_open(&self, conn: ConnId, _: &str, _: &[(String, String)], to: SocketSender) {
        self.senders.lock().unwrap().push((conn, to.clone()));
        self.opened.0.send(to).unwrap();
    }
    fn socket_text(&self, conn: ConnId, text: String) {
        let senders = self.senders.lock().unwrap();
        let (_, to) = senders.iter().find(|(own, _)| *own == conn).unwrap();
        to.text(text);
    }
    fn socket_closed(&self, _: ConnId) {}
}

fn server() -> (Server, Arc<Echo>) {
    let refusal = Mutex::new(Response::new(404));
    let echo = Arc::new(Echo { senders: Mutex::new(Vec::new()), opened: bounded(8), refusal });
    let mut settings = crate::net::server::Settings::named("echo");
    settings.socket_message_bytes_max = 4 << 20;
    let server = Server::start("127.0.0.1:0".parse().unwrap(), settings, Arc::clone(&echo) as Arc<dyn Service>);
    (server.unwrap(), echo)
}

fn target(address: SocketAddr, path: &str) -> Target {
    Target {
        host: "localhost".to_owned(),
        authority: address.to_string(),
        path_and_query: path.to_owned(),
        addresses: vec![address],
        tls: None,
    }
}

fn patient() -> Settings {
    Settings { handshake_timeout: PATIENCE, write_timeout: PATIENCE, ..Settings::default() }
}

fn open(address: SocketAddr, path: &str) -> Result<WsSession, WsError> {
    WsSession::open(&target(address, path), &patient(), &Cutter::new())
}

fn connect(server: &Server) -> WsSession {
    open(server.local_addr(), "/ws").unwrap()
}

/// Reads on until something comes.
fn next(session: &mut WsSession) -> Result<WsRead, WsError> {
    let deadline = Deadline::after(PATIENCE);
    loop {
        match session.read() {
            Ok(WsRead::Nothing) => assert!(!deadline.is_over(), "nothing came"),
            other => return other,
        }
    }
}

fn text(words: &str) -> WsRead {
    WsRead::Text(words.to_owned())
}

/// A peer of one connection that does what it is told.
fn peer(script: impl FnOnce(TcpStream) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::Builder::new().spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        script(stream);
    });
    (address, thread.unwrap())
}

/// Reads a request up to its empty line; the answer its key wants.
fn key_of(mut stream: &TcpStream) -> String {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1);
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).unwrap();
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    tungstenite::handshake::derive_accept_key(key.as_bytes())
}

fn agreed(key: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {key}\r\n\r\n"
    )
}

/// A peer that upgrades and then does what it is told.
fn upgraded(script: impl FnOnce(TcpStream) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    peer(|mut stream| {
        let key = key_of(&stream);
        stream.write_all(agreed(&key).as_bytes()).unwrap();
        script(stream);
    })
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u16::try_from(payload.len()) {
        Ok(length @ 0..=125) => frame.push(length as u8),
        Ok(length) => {
            frame.push(126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => {
            frame.push(127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

/// Waits until the other side ends the connection; what it still said.
fn rest_of(mut stream: &TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    rest
}

/// The code in a masked close frame at the end of these bytes.
fn close_code(bytes: &[u8]) -> Option<u16> {
    let [first, length, mask @ .., a, b] = bytes else { return None };
    let mask: [u8; 4] = mask.try_into().ok()?;
    (*first == 0x88 && *length == 0x82).then(|| u16::from_be_bytes([a ^ mask[0], b ^ mask[1]]))
}

#[test]
fn texts_go_both_ways() {
    let (server, echo) = server();
    let mut session = connect(&server);
    assert_eq!(session.peer(), server.local_addr());
    for words in ["hello", "", "ä€", r#"{"op":"ping"}"#] {
        session.send_text(words).unwrap();
        assert_eq!(next(&mut session).unwrap(), text(words));
    }
    assert_eq!(session.read().unwrap(), WsRead::Nothing);
    let large = "x".repeat(200_000);
    session.send_text(&large).unwrap();
    assert_eq!(next(&mut session).unwrap(), text(&large));
    echo.opened.1.recv_timeout(PATIENCE).unwrap().close(1_001, "we are\nclosing");
    assert_eq!(next(&mut session).unwrap(), WsRead::Closed("closed by the peer: 1001 we are closing".to_owned()));
    assert!(matches!(session.read(), Err(WsError::Over)));
    assert!(matches!(session.send_text("more"), Err(WsError::Over)));
}

#[test]
fn messages_at_the_limits_come_and_larger_ones_end_the_session() {
    let limits = Settings { frame_bytes_max: 70_000, message_bytes_max: 100_000, ..patient() };
    let bytes = |count: usize| vec![b'x'; count];
    let two = |a: usize, b: usize| [frame(0x01, &bytes(a)), frame(0x80, &bytes(b))].concat();
    for (sent, comes) in [
        (frame(0x81, &bytes(70_000)), Ok(70_000)),
        (frame(0x81, &bytes(70_001)), Err((70_001, 70_000))),
        (two(50_000, 50_000), Ok(100_000)),
        (two(50_000, 50_001), Err((100_001, 100_000))),
        // Told, and never sent: no memory is set aside for it.
        ([&[0x81, 127][..], &(1_u64 << 60).to_be_bytes()].concat(), Err((1 << 60, 70_000))),
    ] {
        let (address, thread) = upgraded(move |mut stream| {
            // Who is refused does not read on.
            let _ = stream.write_all(&sent);
            rest_of(&stream);
        });
        let mut session = WsSession::open(&target(address, "/"), &limits, &Cutter::new()).unwrap();
        match (next(&mut session), comes) {
            (Ok(WsRead::Text(text)), Ok(length)) => assert_eq!(text.len(), length),
            (Err(WsError::TooLarge { bytes, bytes_max }), Err(told)) => assert_eq!((bytes, bytes_max), told),
            other => panic!("{other:?}"),
        }
        drop(session);
        thread.join().unwrap();
    }
}

#[test]
fn a_message_in_pieces_is_put_together_over_many_reads() {
    let (go_on, asked) = bounded::<()>(0);
    let (address, thread) = upgraded(move |mut stream| {
        let bytes = [frame(0x01, b"one "), frame(0x89, b"ping"), frame(0x00, b"two "), frame(0x80, b"three")].concat();
        for byte in bytes {
            asked.recv_timeout(PATIENCE).unwrap();
            stream.write_all(&[byte]).unwrap();
        }
        // The answer to the ping, masked.
        let mut pong = [0; 10];
        stream.read_exact(&mut pong).unwrap();
        assert_eq!(pong[..2], [0x8a, 0x84]);
        rest_of(&stream);
    });
    let settings = Settings { read_slice: Duration::from_millis(1), ..patient() };
    let mut session = WsSession::open(&target(address, "/"), &settings, &Cutter::new()).unwrap();
    let mut came = Vec::new();
    while came.len() < 2 {
        match session.read().unwrap() {
            WsRead::Nothing => drop(go_on.send_timeout((), Duration::ZERO)),
            other => came.push(other),
        }
    }
    assert_eq!(came, [WsRead::Ping, text("one two three")]);
    drop(session);
    thread.join().unwrap();
}

#[test]
fn a_dripping_peer_does_not_stretch_a_read() {
    let (stop, stopped) = bounded::<()>(1);
    let (address, thread) = upgraded(move |mut stream| {
        stream.write_all(&[0x81, 126, 0x13, 0x88]).unwrap();
        // Never quiet for as long as a slice, and never done.
        while stopped.recv_timeout(Duration::from_millis(1)).is_err() {
            if stream.write_all(b"x").is_err() {
                return;
            }
        }
        let _ = stream.write_all(&[b'x'; 5_000]);
        rest_of(&stream);
    });
    let mut session = open(address, "/").unwrap();
    for _ in 0..3 {
        assert_eq!(session.read().unwrap(), WsRead::Nothing);
    }
    stop.send(()).unwrap();
    assert!(matches!(next(&mut session).unwrap(), WsRead::Text(text) if text.len() == 5_000));
    drop(session);
    thread.join().unwrap();
}

#[test]
fn an_end_without_a_goodbye_is_an_end_and_a_broken_rule_is_an_error() {
    let (server, echo) = server();
    for reset in [false, true] {
        let mut session = connect(&server);
        let to = echo.opened.1.recv_timeout(PATIENCE).unwrap();
        if reset {
            to.reset_connection()
        } else {
            to.drop_connection()
        }
        assert!(matches!(next(&mut session).unwrap(), WsRead::Closed(_)));
    }
    for bytes in [
        frame(0x82, b"binary"),
        frame(0x81, b"\xff\xfe"),
        frame(0xc1, b"reserved"),
        frame(0x80, b"no beginning"),
        // Masked, as only a client may.
        vec![0x81, 0x81, 0, 0, 0, 0, b'x'],
    ] {
        let (address, thread) = upgraded(move |mut stream| {
            stream.write_all(&bytes).unwrap();
            rest_of(&stream);
        });
        let mut session = open(address, "/").unwrap();
        assert!(matches!(next(&mut session), Err(WsError::Protocol(_))));
        assert!(matches!(session.read(), Err(WsError::Over)));
        drop(session);
        thread.join().unwrap();
    }
}

#[test]
fn a_half_closed_peer_can_still_be_told_goodbye() {
    let (address, thread) = upgraded(|stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(close_code(&rest_of(&stream)), None);
    });
    let mut session = open(address, "/").unwrap();
    assert!(matches!(next(&mut session).unwrap(), WsRead::Closed(_)));
    drop(session);
    thread.join().unwrap();
}

#[test]
fn a_cut_wakes_a_blocked_read_and_the_goodbye_still_leaves() {
    let (address, thread) = upgraded(|stream| assert_eq!(close_code(&rest_of(&stream)), Some(1_000)));
    let settings = Settings { read_slice: PATIENCE * 100, ..patient() };
    let cutter = Cutter::new();
    let mut session = WsSession::open(&target(address, "/"), &settings, &cutter).unwrap();
    let (reading, is_reading) = bounded(1);
    let reader = std::thread::Builder::new().spawn(move || {
        reading.send(()).unwrap();
        assert_eq!(session.read().unwrap(), WsRead::Closed("cut by us".to_owned()));
        session
    });
    is_reading.recv_timeout(PATIENCE).unwrap();
    cutter.cut();
    assert!(cutter.is_cut());
    // Joined means woken: the slice is longer than any patience.
    let mut session = reader.unwrap().join().unwrap();
    assert!(matches!(session.send_text("more"), Err(WsError::Over)));
    session.close_gracefully(PATIENCE);
    thread.join().unwrap();
    // And a cutter that has cut opens nothing again.
    assert!(matches!(WsSession::open(&target(address, "/"), &settings, &cutter), Err(WsError::Cut)));
}

#[test]
fn a_cut_also_ends_a_handshake_and_a_blocked_write() {
    let (accepted, is_accepted) = bounded(1);
    let (address, thread) = peer(move |stream| {
        key_of(&stream);
        accepted.send(()).unwrap();
        rest_of(&stream);
    });
    let cutter = Cutter::new();
    let other = cutter.clone();
    let settings = Settings { handshake_timeout: PATIENCE * 100, ..patient() };
    let opening = std::thread::Builder::new().spawn(move || WsSession::open(&target(address, "/"), &settings, &other));
    is_accepted.recv_timeout(PATIENCE).unwrap();
    cutter.cut();
    assert!(matches!(opening.unwrap().join().unwrap(), Err(WsError::Cut)));
    thread.join().unwrap();

    let (go, gone) = bounded::<()>(1);
    let (address, thread) = upgraded(move |_stream| gone.recv_timeout(PATIENCE).unwrap());
    let settings = Settings { write_timeout: PATIENCE * 100, ..patient() };
    let cutter = Cutter::new();
    let mut session = WsSession::open(&target(address, "/"), &settings, &cutter).unwrap();
    let (writing, is_writing) = bounded(1);
    let writer = std::thread::Builder::new().spawn(move || {
        writing.send(()).unwrap();
        session.send_text(&"x".repeat(64 << 20))
    });
    is_writing.recv_timeout(PATIENCE).unwrap();
    cutter.cut_hard();
    assert!(matches!(writer.unwrap().join().unwrap(), Err(WsError::Cut)));
    go.send(()).unwrap();
    thread.join().unwrap();
}

#[test]
fn a_peer_that_does_not_read_does_not_hold_us() {
    let (go, gone) = bounded::<()>(1);
    let (address, thread) = upgraded(move |_stream| gone.recv_timeout(PATIENCE).unwrap());
    let settings = Settings { write_timeout: Duration::from_millis(50), ..patient() };
    let mut session = WsSession::open(&target(address, "/"), &settings, &Cutter::new()).unwrap();
    let error = session.send_text(&"x".repeat(64 << 20)).unwrap_err();
    assert!(matches!(error, WsError::NotReading { timeout_ms: 50 }), "{error}");
    // Nothing may follow half a frame.
    assert!(matches!(session.send_text("more"), Err(WsError::Over)));
    session.close_gracefully(Duration::from_millis(50));
    go.send(()).unwrap();
    thread.join().unwrap();
}

#[test]
fn a_graceful_close_says_goodbye_and_waits_for_nobody_for_long() {
    let (address, thread) = upgraded(|stream| assert_eq!(close_code(&rest_of(&stream)), Some(1_000)));
    open(address, "/").unwrap().close_gracefully(PATIENCE);
    thread.join().unwrap();
    // This one neither answers nor leaves, and keeps talking.
    let (go, gone) = bounded::<()>(1);
    let (address, thread) =
        upgraded(
            move |mut stream| {
                while gone.try_recv().is_err() && stream.write_all(&frame(0x81, b"and another thing")).is_ok() {}
            },
        );
    open(address, "/").unwrap().close_gracefully(Duration::from_millis(50));
    let _ = go.send(());
    thread.join().unwrap();
}

#[test]
fn a_dropped_session_ends_for_the_peer_although_the_cutter_lives() {
    let (address, thread) = upgraded(|stream| assert_eq!(rest_of(&stream), b""));
    let cutter = Cutter::new();
    drop(WsSession::open(&target(address, "/"), &patient(), &cutter).unwrap());
    thread.join().unwrap();
    assert!(cutter.socket().1.is_none());
    // A session that is dropped after the next one was opened leaves that one its cutter.
    let (server, _) = server();
    let target = target(server.local_addr(), "/ws");
    let old = WsSession::open(&target, &patient(), &cutter).unwrap();
    let _new = WsSession::open(&target, &patient(), &cutter).unwrap();
    drop(old);
    assert!(cutter.socket().1.is_some());
}

#[test]
fn a_refusal_is_told_with_its_status_and_the_beginning_of_its_words() {
    let (server, echo) = server();
    let page = format!("<html>\r\n<h1>\x1b[31mForbidden</h1>\n{}</html>", "long ".repeat(1_000));
    for (answer, status, retry_after_s, words) in [
        (Response::json(401, r#"{"retCode":10003,"retMsg":"API key is invalid."}"#), 401, None, r#"{"retCode":10003,"#),
        (Response::text(403, page), 403, None, "<html> <h1> [31mForbidden</h1> long long"),
        (Response::text(429, "slow down").header("Retry-After", "7"), 429, Some(7), "slow down"),
        (Response::new(503), 503, None, "it gave no reason"),
        (Response::new(301).header("Location", "wss://elsewhere"), 301, None, "it gave no reason"),
        (Response::text(200, "welcome to this hotel"), 200, None, "welcome to this hotel"),
        (Response::text(404, "no /private/listenkey0123456789?a=b here"), 404, None, "no /private/[..]?a=b here"),
    ] {
        *echo.refusal.lock().unwrap() = answer;
        let refused = open(server.local_addr(), "/private/listenkey0123456789?a=b").unwrap_err();
        let WsError::Refused { status: told, retry_after_s: wait, excerpt, .. } = &refused else { panic!("{refused}") };
        assert_eq!((*told, *wait), (status, retry_after_s));
        assert!(excerpt.starts_with(words) && excerpt.chars().count() <= 202, "{excerpt}");
        let shown = format!("{refused} {refused:?} {:?}", target(server.local_addr(), "/private/listenkey0123456789"));
        assert!(!shown.contains("listenkey") && !shown.contains('\x1b'), "{shown}");
    }
}

#[test]
fn what_does_not_speak_websocket_is_not_taken_for_it() {
    let long = "x".repeat(20_000);
    for (answer, what) in [
        ("220 mail.example ESMTP\r\n".to_owned(), "not HTTP"),
        ("\x15\x03\x03\x00\x02\x02\x46".to_owned(), "not HTTP"),
        (String::new(), "hung up"),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n".to_owned(), "hung up"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned(), "without an upgrade"),
        (agreed("KEY").replace("Upgrade: websocket", "Upgrade: h2c"), "without an upgrade"),
        (agreed("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "another request"),
        (agreed("KEY").replace("Sec-WebSocket-Accept", "X"), "another request"),
        (agreed("KEY\r\nSec-WebSocket-Extensions: permessage-deflate"), "not offered"),
        (agreed("KEY\r\nSec-WebSocket-Protocol: chat"), "not offered"),
        (format!("HTTP/1.1 101 {long}"), "too long"),
        (format!("HTTP/1.1 101 A\r\n{}", "A: b\r\n".repeat(100)), "too long"),
    ] {
        let (address, thread) = peer(move |mut stream| {
            let key = key_of(&stream);
            let _ = stream.write_all(answer.replace("KEY", &key).as_bytes());
            let _ = stream.shutdown(Shutdown::Write);
            rest_of(&stream);
        });
        let refused = open(address, "/").unwrap_err();
        assert!(
            matches!(&refused, WsError::NotWebSocket { what: told, .. } if told.contains(what)),
            "{what}: {refused}"
        );
        thread.join().unwrap();
    }
}

#[test]
fn a_peer_that_is_slow_to_agree_is_late() {
    let hasty = Settings { handshake_timeout: Duration::from_millis(100), ..patient() };
    let (server, _) = server();
    let late = WsSession::open(&target(server.local_addr(), "/silent"), &hasty, &Cutter::new()).unwrap_err();
    assert!(matches!(late, WsError::Late { timeout_ms: 100, .. }), "{late}");
    // A drip is no progress.
    let (address, thread) = peer(|mut stream| {
        let (_keep, pause) = bounded::<()>(1);
        while stream.write_all(b"H").is_ok() {
            let _ = pause.recv_timeout(Duration::from_millis(5));
        }
    });
    let target = Target { tls: Some(believing(&RootCertStore::empty())), ..target(address, "/") };
    let late = WsSession::open(&target, &hasty, &Cutter::new()).unwrap_err();
    assert!(matches!(late, WsError::Late { .. } | WsError::Tls { .. }), "{late}");
    thread.join().unwrap();
}

#[test]
fn plain_text_never_leaves_the_machine() {
    let began = Instant::now();
    for far in ["192.0.2.1:80", "0.0.0.0:80", "[::]:80", "[::ffff:127.0.0.1]:80"] {
        let mut target = target(far.parse().unwrap(), "/");
        assert!(matches!(WsSession::open(&target, &patient(), &Cutter::new()), Err(WsError::PlainText(_))), "{far}");
        // One among many is one too many.
        target.addresses.insert(0, "127.0.0.1:1".parse().unwrap());
        assert!(matches!(WsSession::open(&target, &patient(), &Cutter::new()), Err(WsError::PlainText(_))), "{far}");
    }
    assert!(began.elapsed() < PATIENCE);
}

#[test]
fn the_next_address_is_tried_and_a_bad_target_is_named() {
    let (server, _) = server();
    // Bound and then freed, where nobody else binds: nobody listens there.
    let deaf = TcpListener::bind("127.0.0.7:0").unwrap().local_addr().unwrap();
    let mut both = target(server.local_addr(), "/ws");
    both.addresses.insert(0, deaf);
    assert_eq!(WsSession::open(&both, &patient(), &Cutter::new()).unwrap().peer(), server.local_addr());
    let refused = open(deaf, "/").unwrap_err();
    assert!(matches!(&refused, WsError::Connect { error, .. } if error.kind() == ErrorKind::ConnectionRefused));
    let nowhere = Target { addresses: Vec::new(), ..target(deaf, "/") };
    assert!(matches!(WsSession::open(&nowhere, &patient(), &Cutter::new()), Err(WsError::NoAddress { .. })));
    for path in ["", "ws", "/a b", "/a\r\nX: y"] {
        assert!(matches!(open(deaf, path), Err(WsError::BadTarget { .. })), "{path:?}");
    }
}

#[test]
fn a_dial_finds_the_address_and_tells_the_resolver_how_it_went() {
    let (server, _) = server();
    let port = server.local_addr().port();
    // Found where `localhost` is one of two addresses, whichever is listened at.
    let address = Address::parse(&format!("ws://localhost:{port}/ws")).unwrap();
    let (resolver, _thread) = Resolver::start(&[], PATIENCE).unwrap();
    let roots = Roots::public();
    let mut session = WsSession::dial(&address, &resolver, &roots, &patient(), &Cutter::new()).unwrap();
    session.send_text("hello").unwrap();
    assert_eq!(next(&mut session).unwrap(), text("hello"));

    // A name whose first address is deaf: from now on the other one comes first.
    let (pem, config) = certified_for("venue.test");
    let (at, thread) = secured(config, drop);
    let address = Address::parse(&format!("wss://venue.test:{}/ws", at.port())).unwrap();
    let look_up = Box::new(move |_: &str| Ok(vec!["127.0.0.2".parse().unwrap(), at.ip()]));
    let (resolver, _thread) = Resolver::start_with(std::slice::from_ref(&address), PATIENCE, look_up).unwrap();
    let own = Roots::only(pem.as_bytes()).unwrap();
    let session = WsSession::dial(&address, &resolver, &own, &patient(), &Cutter::new()).unwrap();
    assert_eq!(session.peer(), at);
    drop(session);
    thread.join().unwrap();
    assert_eq!(resolver.addresses(&address).unwrap()[0], at);

    // Nobody is believed who is not among the roots, and no name is made up.
    let (_, config) = certified_for("venue.test");
    let (at, thread) = secured(config, drop);
    let address = Address::parse(&format!("wss://venue.test:{}/ws", at.port())).unwrap();
    let refused = WsSession::dial(&address, &resolver, &roots, &patient(), &Cutter::new()).unwrap_err();
    assert!(matches!(refused, WsError::Tls { .. }), "{refused}");
    thread.join().unwrap();
    let nowhere = Address::parse("wss://elsewhere.test").unwrap();
    let hasty = Settings { handshake_timeout: Duration::from_millis(1), ..patient() };
    let refused = WsSession::dial(&nowhere, &resolver, &roots, &hasty, &Cutter::new()).unwrap_err();
    assert!(matches!(refused, WsError::NoAddress { .. }), "{refused}");
}

/// A certificate for `localhost`: who believes it, and a server's side of it.
fn certified() -> (RootCertStore, Arc<ServerConfig>) {
    let (pem, config) = certified_for("localhost");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    (roots, config)
}

/// A certificate for a name, and a server's side of it.
fn certified_for(name: &str) -> (String, Arc<ServerConfig>) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let certificate: CertificateDer<'static> = made.cert.der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    (made.cert.pem(), Arc::new(config))
}

fn believing(roots: &RootCertStore) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_root_certificates(roots.clone()).with_no_client_auth())
}

/// Echoes over TLS until the session ends.
fn secured(config: Arc<ServerConfig>, end: impl FnOnce(TcpStream) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    peer(move |stream| {
        let clone = stream.try_clone().unwrap();
        let stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
        if let Ok(mut socket) = tungstenite::accept(stream) {
            while let Ok(message) = socket.read() {
                match message {
                    Message::Text(text) if text.as_str() == "drop" => break,
                    Message::Text(_) => socket.send(message).unwrap(),
                    _ => {}
                }
            }
        }
        end(clone);
    })
}

#[test]
fn over_tls_texts_go_both_ways_and_cuts_wake() {
    let (roots, config) = certified();
    let (address, thread) = secured(config, drop);
    let secure = Target { tls: Some(believing(&roots)), ..target(address, "/ws") };
    let cutter = Cutter::new();
    let mut session = WsSession::open(&secure, &patient(), &cutter).unwrap();
    // Longer than a TLS record.
    for words in ["hello".to_owned(), "x".repeat(100_000)] {
        session.send_text(&words).unwrap();
        assert_eq!(next(&mut session).unwrap(), text(&words));
    }
    assert_eq!(session.read().unwrap(), WsRead::Nothing);
    session.settings.read_slice = PATIENCE * 100;
    let reader = std::thread::Builder::new().spawn(move || (session.read().unwrap(), session));
    cutter.cut();
    let (read, session) = reader.unwrap().join().unwrap();
    assert_eq!(read, WsRead::Closed("cut by us".to_owned()));
    session.close_gracefully(PATIENCE);
    thread.join().unwrap();
}

#[test]
fn over_tls_an_end_is_an_end() {
    let (roots, config) = certified();
    // Without a goodbye of WebSocket and without one of TLS.
    let (address, thread) = secured(config, |stream| stream.shutdown(Shutdown::Both).unwrap());
    let secure = Target { tls: Some(believing(&roots)), ..target(address, "/ws") };
    let mut session = WsSession::open(&secure, &patient(), &Cutter::new()).unwrap();
    session.send_text("drop").unwrap();
    assert!(matches!(next(&mut session).unwrap(), WsRead::Closed(_)));
    thread.join().unwrap();
}

#[test]
fn no_doubtful_certificate_is_believed() {
    let (roots, config) = certified();
    let (other_roots, _) = certified();
    for (host, roots, works) in
        [("localhost", &roots, true), ("localhost", &other_roots, false), ("elsewhere", &roots, false)]
    {
        let (address, thread) = secured(Arc::clone(&config), drop);
        let secure = Target { host: host.to_owned(), tls: Some(believing(roots)), ..target(address, "/ws") };
        let opened = WsSession::open(&secure, &patient(), &Cutter::new());
        match opened {
            Ok(session) => assert!(works, "{session:?}"),
            Err(WsError::Tls { .. }) => assert!(!works, "{host}"),
            Err(other) => panic!("{other}"),
        }
        thread.join().unwrap();
    }
    // One that speaks plainly.
    let (server, _) = server();
    let secure = Target { tls: Some(believing(&roots)), ..target(server.local_addr(), "/ws") };
    assert!(matches!(WsSession::open(&secure, &patient(), &Cutter::new()), Err(WsError::Tls { .. })));
}
