//! A proxy between a trader and the exchange: everything goes through, except what a test exchanges for something else.
//!
//! Always holds: every connection ends with the value that stands for it; the signatures that went through are
//! remembered, so that a test can see that they stand nowhere else.
//! Never does: repeat a request. What is answered here never reaches the exchange.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

/// How long a look into a socket takes.
const LOOK: Duration = Duration::from_millis(20);
/// More than anybody reads.
const ENDLESS_BYTES: usize = 64 * 1024 * 1024;

/// What becomes of an answer.
#[derive(Clone)]
pub(super) enum Twist {
    /// The exchange's own.
    None,
    /// This one instead; the exchange is not asked.
    Instead { status: u16, body: Vec<u8> },
    /// The exchange's own, with another body.
    Changed(fn(&str) -> Vec<u8>),
    /// These bytes, and the end of the connection.
    Raw(Vec<u8>),
    /// A body without end.
    Endless,
    /// Nothing, for as long as the other side waits.
    Silence,
}

impl Twist {
    /// Another body with status 200.
    pub(super) fn body(text: impl Into<Vec<u8>>) -> Twist {
        Twist::Instead { status: 200, body: text.into() }
    }
}

type Rule = Box<dyn Fn(&str) -> Twist + Send + Sync>;

struct Shared {
    exchange: SocketAddr,
    rule: Mutex<Rule>,
    /// Targets whose answers were twisted.
    twisted: Mutex<Vec<String>>,
    /// Bytes for sockets whose path holds the text.
    to_say: Mutex<Vec<(String, Vec<u8>)>>,
    signatures: Mutex<BTreeSet<String>>,
    sockets: Mutex<Vec<TcpStream>>,
    ends: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The proxy.
pub(super) struct Meddler {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Meddler {
    /// Stands before an exchange and lets everything through.
    pub(super) fn before(exchange: SocketAddr) -> Meddler {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port of this machine");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            exchange,
            rule: Mutex::new(Box::new(|_| Twist::None)),
            twisted: Mutex::default(),
            to_say: Mutex::default(),
            signatures: Mutex::default(),
            sockets: Mutex::default(),
            ends: AtomicBool::new(false),
        });
        let within = Arc::clone(&shared);
        in_a_thread("meddler", move || {
            for client in listener.incoming().map_while(Result::ok) {
                if within.ends.load(Ordering::SeqCst) {
                    return;
                }
                let within = Arc::clone(&within);
                // Whatever ends a connection ends only that.
                in_a_thread("meddler.connection", move || drop(serve(&within, client)));
            }
        });
        Meddler { address, shared }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on answers to these paths (with their queries) become what the rule says.
    pub(super) fn twist(&self, rule: impl Fn(&str) -> Twist + Send + Sync + 'static) {
        *lock(&self.shared.rule) = Box::new(rule);
    }

    /// Everything goes through again.
    pub(super) fn heal(&self) {
        self.twist(|_| Twist::None);
    }

    /// How many answers were twisted so far.
    pub(super) fn n_twisted(&self) -> usize {
        lock(&self.shared.twisted).len()
    }

    /// How many answers to these paths were twisted so far.
    pub(super) fn n_twisted_of(&self, path: &str) -> usize {
        lock(&self.shared.twisted).iter().filter(|target| target.starts_with(path)).count()
    }

    /// Says bytes on every open socket whose path holds this.
    pub(super) fn say(&self, path: &str, bytes: Vec<u8>) {
        lock(&self.shared.to_say).push((path.to_owned(), bytes));
    }

    /// Signatures that went through.
    pub(super) fn signatures(&self) -> Vec<String> {
        lock(&self.shared.signatures).iter().cloned().collect()
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        // Wakes the one who accepts.
        drop(TcpStream::connect(self.address));
        for socket in lock(&self.shared.sockets).drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

fn in_a_thread(name: &str, work: impl FnOnce() + Send + 'static) {
    Builder::new().name(name.to_owned()).spawn(work).expect("room for a thread");
}

/// A text frame as a server sends it.
pub(super) fn text_frame(text: &[u8]) -> Vec<u8> {
    frame(0x81, text)
}

/// Any frame, unmasked.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..126 => bytes.push(short as u8),
        middle @ 126..65_536 => {
            bytes.push(126);
            bytes.extend_from_slice(&(middle as u16).to_be_bytes());
        }
        long => {
            bytes.push(127);
            bytes.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

struct Asked {
    /// Path and query.
    target: String,
    is_upgrade: bool,
    /// All of it, as it came.
    bytes: Vec<u8>,
}

fn serve(shared: &Arc<Shared>, mut client: TcpStream) -> io::Result<()> {
    lock(&shared.sockets).push(client.try_clone()?);
    let mut exchange: Option<TcpStream> = None;
    while let Some(asked) = read_request(&mut client)? {
        remember_signatures(shared, &asked.bytes);
        if asked.is_upgrade {
            return tunnel(shared, client, &asked);
        }
        let twist = lock(&shared.rule)(&asked.target);
        if !matches!(twist, Twist::None) {
            lock(&shared.twisted).push(asked.target.clone());
        }
        match twist {
            Twist::None => {
                let answer = ask(shared, &mut exchange, &asked)?;
                client.write_all(&answer)?;
            }
            Twist::Changed(change) => {
                let answer = ask(shared, &mut exchange, &asked)?;
                let end = head_end(&answer).ok_or(io::ErrorKind::InvalidData)?;
                let body = change(&String::from_utf8_lossy(&answer[end..]));
                client.write_all(&whole(200, &body))?;
            }
            Twist::Instead { status, body } => client.write_all(&whole(status, &body))?,
            Twist::Raw(bytes) => {
                client.write_all(&bytes)?;
                return client.shutdown(Shutdown::Both);
            }
            Twist::Endless => return endless(&mut client),
            Twist::Silence => {
                // Until the other side gives up.
                let mut rest = [0];
                client.read(&mut rest)?;
                return Ok(());
            }
        }
    }
    Ok(())
}

fn whole(status: u16, body: &[u8]) -> Vec<u8> {
    let kind = if body.first() == Some(&b'<') { "text/html" } else { "application/json" };
    let location = if status / 100 == 3 { "Location: http://127.0.0.1:1/elsewhere\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\n{location}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn endless(client: &mut TcpStream) -> io::Result<()> {
    client.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"retCode\":0,\"retMsg\":\"")?;
    let piece = [b'x'; 64 * 1024];
    for _ in 0..ENDLESS_BYTES / piece.len() {
        client.write_all(&piece)?;
    }
    Ok(())
}

fn read_request(client: &mut TcpStream) -> io::Result<Option<Asked>> {
    let Some(bytes) = read_message(client)? else { return Ok(None) };
    let head = String::from_utf8_lossy(&bytes[..head_end(&bytes).unwrap_or(bytes.len())]).into_owned();
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let is_upgrade = head.to_ascii_lowercase().contains("upgrade: websocket");
    Ok(Some(Asked { target, is_upgrade, bytes }))
}

/// A head, and the body it announces. Nothing where the connection ended before.
fn read_message(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        if let Some(end) = head_end(&bytes) {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap_or("0");
            let length: usize = length.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?;
            if bytes.len() >= end + length {
                return Ok(Some(bytes));
            }
        }
        match stream.read(&mut piece) {
            Ok(0) => return Ok(None),
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// Asks the exchange; gives what it says. Where it says nothing, this connection ends as well.
fn ask(shared: &Shared, kept: &mut Option<TcpStream>, asked: &Asked) -> io::Result<Vec<u8>> {
    let mut stream = match kept.take() {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(shared.exchange)?;
            lock(&shared.sockets).push(stream.try_clone()?);
            stream
        }
    };
    stream.write_all(&asked.bytes)?;
    let answer = read_message(&mut stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    *kept = Some(stream);
    Ok(answer)
}

/// Signatures of requests, and of the login of a stream.
fn remember_signatures(shared: &Shared, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let is_signature = |word: &&str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let found = text.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(is_signature);
    lock(&shared.signatures).extend(found.map(str::to_owned));
}

/// Lets a WebSocket through, frame by frame towards the trader, and says between two frames what is to be said.
fn tunnel(shared: &Arc<Shared>, mut client: TcpStream, asked: &Asked) -> io::Result<()> {
    let mut exchange = TcpStream::connect(shared.exchange)?;
    lock(&shared.sockets).push(exchange.try_clone()?);
    exchange.write_all(&asked.bytes)?;
    let answer = read_message(&mut exchange)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let end = head_end(&answer).ok_or(io::ErrorKind::InvalidData)?;
    client.write_all(&answer[..end])?;
    let mut waiting = answer[end..].to_vec();
    let (mut up, mut down) = (client.try_clone()?, exchange.try_clone()?);
    in_a_thread("meddler.up", move || {
        let _ = io::copy(&mut up, &mut down);
        let _ = down.shutdown(Shutdown::Both);
    });
    let done = tell(shared, &asked.target, &mut waiting, &mut exchange, &mut client);
    let _ = client.shutdown(Shutdown::Both);
    let _ = exchange.shutdown(Shutdown::Both);
    done
}

fn tell(
    shared: &Shared,
    path: &str,
    waiting: &mut Vec<u8>,
    exchange: &mut TcpStream,
    client: &mut TcpStream,
) -> io::Result<()> {
    exchange.set_read_timeout(Some(LOOK))?;
    // What was said before this socket opened was not for it.
    let mut n_said = lock(&shared.to_say).len();
    let mut piece = [0; 16 * 1024];
    loop {
        while let Some(length) = frame_length(waiting) {
            client.write_all(&waiting[..length])?;
            waiting.drain(..length);
        }
        let new: Vec<_> = lock(&shared.to_say)[n_said..].to_vec();
        n_said += new.len();
        for (_, bytes) in new.iter().filter(|(part, _)| path.contains(part.as_str())) {
            client.write_all(bytes)?;
        }
        match exchange.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => waiting.extend_from_slice(&piece[..count]),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(error),
        }
    }
}

/// How long the frame is that these bytes begin with, if it is whole.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let (head, payload) = match bytes.get(1)? & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, usize::from(short)),
    };
    (bytes.len() >= head + payload).then_some(head + payload)
}
