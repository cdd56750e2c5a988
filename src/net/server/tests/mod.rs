//! The server against clients that write their own bytes.

mod mischief;
mod requests;
mod sockets;
mod strain;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{ConnId, Incoming, Reply, Response, Server, Service, Settings, SocketSender};

/// Far longer than anything takes; nothing is asserted about it.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Answers by path; keeps what it was told.
pub(super) struct Stage {
    pub(super) requests: Mutex<Vec<Incoming>>,
    /// Replies that are left to the test.
    pub(super) held: (Sender<Reply>, Receiver<Reply>),
    pub(super) opened: (Sender<SocketSender>, Receiver<SocketSender>),
    /// `ID text` and `ID closed`.
    pub(super) heard: (Sender<String>, Receiver<String>),
    /// A call to `/stuck` returns when something comes.
    pub(super) unstick: (Sender<()>, Receiver<()>),
}

impl Stage {
    pub(super) fn new() -> Arc<Stage> {
        Arc::new(Stage {
            requests: Mutex::new(Vec::new()),
            held: bounded(64),
            opened: bounded(64),
            heard: bounded(4_096),
            unstick: bounded(1),
        })
    }

    pub(super) fn next_heard(&self) -> String {
        self.heard.1.recv_timeout(PATIENCE).unwrap()
    }

    pub(super) fn next_opened(&self) -> SocketSender {
        self.opened.1.recv_timeout(PATIENCE).unwrap()
    }
}

impl Service for Stage {
    fn http(&self, request: Incoming, reply: Reply) {
        self.requests.lock().unwrap().push(request.clone());
        let body = Response::text(200, "0123456789");
        match request.path() {
            "/echo" => reply.send(Response::text(200, request.body).header("X-Method", request.method.as_str())),
            "/empty" => reply.send(Response::new(204)),
            "/large" => reply.send(Response::text(200, vec![b'x'; 64 << 20])),
            "/broken-header" => reply.send(body.header("x-a", "b\r\nx-c: d")),
            "/broken-status" => reply.send(Response::new(101)),
            "/held" => self.held.0.send(reply).unwrap(),
            "/unanswered" => drop(reply),
            "/panic" => panic!("planted"),
            "/stuck" => self.unstick.1.recv_timeout(PATIENCE).unwrap(),
            "/hang" => reply.hang(),
            "/drop" => reply.drop_connection(),
            "/reset" => reply.reset_connection(),
            "/truncated" => reply.truncated(body, 4),
            "/truncated-late" => reply.truncated(body, 40),
            "/endless" => reply.endless(body),
            "/drip" => reply.drip(body, Duration::from_millis(1)),
            "/raw" => reply.raw("not even HTTP"),
            "/ws/denied" => reply.send(Response::json(401, r#"{"retCode":10003}"#)),
            _ => reply.send(Response::text(404, "nothing here\n")),
        }
    }

    fn upgrade(&self, request: &Incoming) -> bool {
        request.path() == "/ws"
    }

    fn socket_open(&self, conn: ConnId, path_and_query: &str, headers: &[(String, String)], to: SocketSender) {
        let n_hosts = headers.iter().filter(|(name, _)| name == "host").count();
        self.heard.0.send(format!("{conn} open {path_and_query} {n_hosts}")).unwrap();
        self.opened.0.send(to).unwrap();
    }

    fn socket_text(&self, conn: ConnId, text: String) {
        let text = if text.len() > 100 { format!("{} bytes", text.len()) } else { text };
        self.heard.0.send(format!("{conn} {text}")).unwrap();
    }

    fn socket_closed(&self, conn: ConnId) {
        self.heard.0.send(format!("{conn} closed")).unwrap();
    }
}

pub(super) fn start(change: impl FnOnce(&mut Settings)) -> (Server, Arc<Stage>) {
    start_at("127.0.0.1:0", change)
}

pub(super) fn start_at(address: &str, change: impl FnOnce(&mut Settings)) -> (Server, Arc<Stage>) {
    let mut settings = Settings::named("test");
    change(&mut settings);
    let stage = Stage::new();
    let service = Arc::clone(&stage) as Arc<dyn Service>;
    (Server::start(address.parse().unwrap(), settings, service).unwrap(), stage)
}

/// Waits for something that will happen.
pub(super) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    // Looked at every few milliseconds; nobody sends.
    let (_keep, never) = bounded::<()>(1);
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        let _ = never.recv_timeout(Duration::from_millis(2));
    }
}

/// A client that says what it is told to, byte for byte.
pub(super) struct Raw(pub(super) TcpStream);

/// What it read, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) status: u16,
    /// Names in lower case.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Raw {
    pub(super) fn to(server: &Server) -> Raw {
        let stream = TcpStream::connect(server.local_addr()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Raw(stream)
    }

    pub(super) fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    pub(super) fn get(&mut self, path: &str) {
        self.say(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }

    /// Up to the empty line.
    pub(super) fn head(&mut self) -> String {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            let count = self.0.read(&mut byte).unwrap();
            assert_eq!(count, 1, "ended after {:?}", String::from_utf8_lossy(&head));
            head.push(byte[0]);
        }
        String::from_utf8(head).unwrap()
    }

    /// A head and as much of a body as it promises.
    pub(super) fn answer(&mut self) -> Heard {
        self.answer_to("GET")
    }

    pub(super) fn answer_to(&mut self, method: &str) -> Heard {
        let head = self.head();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let head: String = head
            .lines()
            .map(|line| match line.split_once(':') {
                Some((name, value)) => format!("{}:{value}\n", name.to_ascii_lowercase()),
                None => format!("{line}\n"),
            })
            .collect();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        let mut body = vec![0; if method == "HEAD" { 0 } else { length.parse().unwrap() }];
        self.0.read_exact(&mut body).unwrap();
        Heard { status, head, body }
    }

    /// All that still comes, up to the end of the connection. `Err`: it did not end but broke.
    pub(super) fn rest(&mut self) -> std::io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).map(|_| rest)
    }
}
