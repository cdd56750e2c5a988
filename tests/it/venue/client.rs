//! A client of Bybit's API as small as can be: it signs, sends, and says exactly what came back, broken or not.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::harness::wait;

/// A key that is known to the exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) key: String,
    pub(crate) secret: String,
}

impl Key {
    pub(crate) fn new(key: &str, secret: &str) -> Key {
        Key { key: key.to_owned(), secret: secret.to_owned() }
    }

    fn sign(&self, text: &str) -> String {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, self.secret.as_bytes());
        let tag = ring::hmac::sign(&key, text.as_bytes());
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A whole answer.
    Answer(Answer),
    /// The other side ended the connection in good order after these bytes.
    Closed(Vec<u8>),
    /// The other side broke the connection off after these bytes.
    Reset(Vec<u8>),
    /// Nothing more came after these bytes, as long as we waited.
    Silent(Vec<u8>),
    /// It did not end: these many bytes were read, then no more.
    Endless(usize),
}

impl Outcome {
    /// The answer, where there must be one.
    pub(crate) fn answer(self) -> Answer {
        match self {
            Outcome::Answer(answer) => answer,
            other => panic!("no whole answer came: {other:?}"),
        }
    }
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {}", String::from_utf8_lossy(&self.body)))
    }

    /// The venue's own code.
    pub(crate) fn code(&self) -> i64 {
        self.json()["retCode"].as_i64().unwrap_or_else(|| panic!("no code: {}", self.json()))
    }

    /// `result` of an answer that must be a success.
    pub(crate) fn result(&self) -> Value {
        let mut body = self.json();
        assert_eq!((self.status, body["retCode"].as_i64()), (200, Some(0)), "{body}");
        body["result"].take()
    }
}

/// A connection that is kept.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    key: Option<Key>,
    stream: Option<TcpStream>,
    patience: Duration,
}

/// More than any whole answer has.
const BYTES_MAX: usize = 8 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);

impl Client {
    pub(crate) fn new(address: SocketAddr, key: Option<Key>) -> Client {
        Client { address, key, stream: None, patience: PATIENCE }
    }

    /// Waits only this long for an answer.
    pub(crate) fn with_patience(mut self, patience: Duration) -> Client {
        self.patience = patience;
        self
    }

    pub(crate) fn get(&mut self, path: &str, query: &str) -> Outcome {
        let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let head = self.head("GET", &target, query);
        self.exchange(format!("{head}\r\n").as_bytes())
    }

    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Outcome {
        let body = body.to_string();
        let head = self.head("POST", path, &body);
        let length = body.len();
        let text = format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
        self.exchange(text.as_bytes())
    }

    fn head(&self, method: &str, target: &str, payload: &str) -> String {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.address);
        if let Some(key) = &self.key {
            let now_ms = wait::wall_us() / 1_000;
            let signature = key.sign(&format!("{now_ms}{}5000{payload}", key.key));
            head.push_str(&format!(
                "X-BAPI-API-KEY: {}\r\nX-BAPI-TIMESTAMP: {now_ms}\r\nX-BAPI-RECV-WINDOW: 5000\r\nX-BAPI-SIGN: {signature}\r\n",
                key.key
            ));
        }
        head
    }

    /// Sends bytes and reads what comes, whatever it is.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Outcome {
        let mut stream = self.stream.take().unwrap_or_else(|| connect(self.address));
        stream.set_read_timeout(Some(self.patience)).expect("a timeout above zero");
        if let Err(error) = stream.write_all(request) {
            return if error.kind() == io::ErrorKind::ConnectionReset {
                Outcome::Reset(Vec::new())
            } else {
                Outcome::Closed(Vec::new())
            };
        }
        let outcome = read_answer(&mut stream);
        if let Outcome::Answer(answer) = &outcome
            && answer.header("connection") != Some("close")
        {
            self.stream = Some(stream);
        }
        outcome
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE);
    stream.unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"))
}

fn read_answer(stream: &mut TcpStream) -> Outcome {
    let mut bytes = Vec::new();
    let mut piece = vec![0_u8; 64 * 1024];
    loop {
        if let Some(answer) = whole(&bytes) {
            return Outcome::Answer(answer);
        }
        if bytes.len() > BYTES_MAX {
            return Outcome::Endless(bytes.len());
        }
        match stream.read(&mut piece) {
            Ok(0) => return Outcome::Closed(bytes),
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Outcome::Silent(bytes);
            }
            Err(_) => return Outcome::Reset(bytes),
        }
    }
}

/// An answer with all the bytes it announces.
fn whole(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()?;
    let body = bytes.get(end + 4..end + 4 + length)?.to_vec();
    Some(Answer { status, headers, body })
}

/// An order as most tests place it: far from the market, so that it rests.
pub(crate) fn resting(client_id: &str, price: &str) -> Value {
    json!({
        "category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.001",
        "price": price, "timeInForce": "GTC", "orderLinkId": client_id,
    })
}

/// A WebSocket.
pub(crate) struct Socket {
    inner: WebSocket<TcpStream>,
}

/// How long one look into a socket takes.
const LOOK: Duration = Duration::from_millis(50);

impl Socket {
    /// Opens one, without a word said.
    pub(crate) fn open(address: SocketAddr, path: &str) -> Socket {
        let stream = connect(address);
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout above zero");
        let (inner, _) = tungstenite::client(format!("ws://{address}{path}"), stream)
            .unwrap_or_else(|error| panic!("no handshake with {address}{path}: {error}"));
        inner.get_ref().set_read_timeout(Some(LOOK)).expect("a timeout above zero");
        Socket { inner }
    }

    /// The account's stream, logged in and subscribed.
    pub(crate) fn private(address: SocketAddr, key: &Key, topics: &[&str]) -> Socket {
        let mut socket = Socket::open(address, "/v5/private");
        let expires = wait::wall_us() / 1_000 + 10_000;
        let signature = key.sign(&format!("GET/realtime{expires}"));
        socket.send(&json!({"op": "auth", "args": [key.key, expires, signature]}));
        let answer = socket.wait_for("the answer to a login", |frame| frame["op"] == "auth");
        assert_eq!(answer["success"], true, "{answer}");
        socket.subscribe(topics);
        socket
    }

    pub(crate) fn subscribe(&mut self, topics: &[&str]) {
        self.send(&json!({"op": "subscribe", "req_id": "1", "args": topics}));
        let answer = self.wait_for("the answer to a subscription", |frame| {
            frame["op"] == "subscribe" || frame["type"] == "COMMAND_RESP"
        });
        assert_eq!(answer["success"], true, "{answer}");
    }

    pub(crate) fn send(&mut self, frame: &Value) {
        self.inner.send(Message::text(frame.to_string())).expect("an open socket");
    }

    /// Reads until a frame fits; others are left behind.
    pub(crate) fn wait_for(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let found = wait::until(PATIENCE, what, || match self.look() {
            Look::Frame(frame) if fits(&frame) => Some(frame),
            Look::Frame(_) | Look::Nothing => None,
            Look::Ended(why) => panic!("the socket ended ({why}) before {what}"),
        });
        found.unwrap_or_else(|why| panic!("{why}"))
    }

    /// Waits until the other side has ended the socket, and says how.
    pub(crate) fn wait_for_end(&mut self) -> String {
        let ended = wait::until(PATIENCE, "the end of a socket", || match self.look() {
            Look::Ended(why) => Some(why),
            Look::Frame(_) | Look::Nothing => None,
        });
        ended.unwrap_or_else(|why| panic!("{why}"))
    }

    /// A row of a push: `data` of topic `topic` with this client id that fits.
    pub(crate) fn wait_for_row(&mut self, topic: &str, client_id: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let row_of = |frame: &Value| {
            let is_topic = frame["topic"].as_str().is_some_and(|name| name.starts_with(topic));
            let rows = frame["data"].as_array().filter(|_| is_topic)?;
            rows.iter().find(|row| row["orderLinkId"] == client_id && fits(row)).cloned()
        };
        let frame = self.wait_for(&format!("a push of {topic} about {client_id}"), |frame| row_of(frame).is_some());
        row_of(&frame).expect("it was just found")
    }

    fn look(&mut self) -> Look {
        match self.inner.read() {
            Ok(Message::Text(text)) => match serde_json::from_str(&text) {
                Ok(frame) => Look::Frame(frame),
                Err(error) => panic!("no JSON ({error}): {text}"),
            },
            Ok(Message::Close(_)) => Look::Ended("closed".to_owned()),
            Ok(_) => Look::Nothing,
            Err(tungstenite::Error::Io(error))
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                ) =>
            {
                Look::Nothing
            }
            Err(error) => Look::Ended(error.to_string()),
        }
    }
}

enum Look {
    Frame(Value),
    Nothing,
    Ended(String),
}
