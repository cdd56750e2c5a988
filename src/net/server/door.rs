//! Takes connections, gives each a thread, and ends them all.
//!
//! Always holds: no more threads than the cap allows; a connection over it is told 503 and waits for nobody.
//! Never does: read from a connection, except to let a refusal arrive.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http::Method;

use super::connection::Connection;
use super::head::Refusal;
use super::{Closed, ConnId, Service, Settings};
use crate::net::deadline::Deadline;
use crate::net::socket::{For, Wake, read_ready, wait, write_ready};

/// How long a refused connection is kept, so that the refusal arrives before the end does.
const GOODBYE: Duration = Duration::from_secs(1);
/// Refused connections that are kept at once; the oldest go first.
const GOODBYES_MAX: usize = 64;
/// Out of descriptors there is nothing to wait for.
const BREATH: Duration = Duration::from_millis(50);
/// Nobody is late for so long; who wants the door wakes it.
const LONG: Duration = Duration::from_secs(3_600);

/// What the door and the connections share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) service: Arc<dyn Service>,
    pub(super) closing: AtomicBool,
    n_live: AtomicUsize,
    wake: Wake,
    threads: Mutex<BTreeMap<ConnId, Running>>,
}

impl Shared {
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    fn threads(&self) -> MutexGuard<'_, BTreeMap<ConnId, Running>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's thread.
struct Running {
    wake: Arc<Wake>,
    thread: JoinHandle<()>,
}

/// A place under the cap, given back when the connection's thread ends, however it ends.
pub(super) struct Place(Arc<Shared>);

impl Place {
    fn take(shared: &Arc<Shared>) -> Option<Place> {
        let taken = shared.n_live.fetch_add(1, Ordering::SeqCst);
        let place = Place(Arc::clone(shared));
        (taken < shared.settings.connections_max).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.n_live.fetch_sub(1, Ordering::SeqCst);
        self.0.wake.wake();
    }
}

/// The listening end of a server.
pub(super) struct Door {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

impl Door {
    pub(super) fn open(
        address: SocketAddr,
        settings: Settings,
        service: Arc<dyn Service>,
    ) -> io::Result<(SocketAddr, Door)> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let local_addr = listener.local_addr()?;
        let name = format!("{}.door", settings.name);
        let shared = Arc::new(Shared {
            settings,
            service,
            closing: AtomicBool::new(false),
            n_live: AtomicUsize::new(0),
            wake: Wake::new()?,
            threads: Mutex::new(BTreeMap::new()),
        });
        let inside = Arc::clone(&shared);
        let thread = thread::Builder::new().name(name).spawn(move || Porter::new(inside, listener).serve())?;
        Ok((local_addr, Door { shared, thread: Some(thread) }))
    }

    pub(super) fn n_connections(&self) -> usize {
        self.shared.n_live.load(Ordering::SeqCst)
    }

    #[allow(clippy::disallowed_methods, reason = "joining with a deadline: std has no timed join")]
    pub(super) fn close(mut self, within: Duration) -> Closed {
        let deadline = Deadline::after(within);
        let mut waiting: Vec<_> = self.thread.take().into_iter().collect();
        let mut closed = Closed::default();
        loop {
            // Again each time: the door may still have been letting somebody in.
            let mut threads = self.shared.threads();
            // Under the lock: who ends because we close is joined here and not by the door.
            self.shared.closing.store(true, Ordering::SeqCst);
            for (_, running) in std::mem::take(&mut *threads) {
                running.wake.wake();
                waiting.push(running.thread);
            }
            drop(threads);
            self.shared.wake.wake();
            let (ended, running): (Vec<_>, Vec<_>) = waiting.into_iter().partition(JoinHandle::is_finished);
            let all_taken = self.shared.threads().is_empty();
            closed.n_joined += ended.len();
            for thread in ended {
                // A panic was told by the panic hook; here it only matters that the thread has ended.
                let _ = thread.join();
            }
            waiting = running;
            if (waiting.is_empty() && all_taken) || deadline.is_over() {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        closed.late = waiting.iter().map(|thread| thread.thread().name().unwrap_or("unnamed").to_owned()).collect();
        closed
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        self.shared.wake.wake();
        for running in self.shared.threads().values() {
            running.wake.wake();
        }
    }
}

/// The door's thread.
struct Porter {
    shared: Arc<Shared>,
    listener: TcpListener,
    last_conn: u64,
    goodbyes: VecDeque<(Deadline, TcpStream)>,
}

impl Porter {
    fn new(shared: Arc<Shared>, listener: TcpListener) -> Porter {
        Porter { shared, listener, last_conn: 0, goodbyes: VecDeque::new() }
    }

    fn serve(mut self) {
        while !self.shared.is_closing() {
            let until = self.goodbyes.front().map_or_else(|| Deadline::after(LONG), |(until, _)| *until);
            wait(&self.listener, For::Reading, Some(&self.shared.wake), until);
            self.shared.wake.clear();
            self.reap();
            self.goodbyes.retain(|(until, stream)| !until.is_over() && is_still_there(stream));
            self.admit_all();
        }
    }

    /// Takes whoever waits, a few at a time.
    fn admit_all(&mut self) {
        for _ in 0..64 {
            if self.shared.is_closing() {
                return;
            }
            match self.listener.accept() {
                Ok((stream, _)) => self.admit(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // They left before they were taken.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => {
                    // Out of descriptors, most likely. A connection that ends wakes us; so does closing.
                    wait(&self.listener, For::Breaking, Some(&self.shared.wake), Deadline::after(BREATH));
                    return;
                }
            }
        }
    }

    /// Gives a connection its thread. One that gets none is told so, as far as that can be done without waiting.
    fn admit(&mut self, stream: TcpStream) {
        if stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true)).is_err() {
            return;
        }
        let (Some(place), Ok(wake)) = (Place::take(&self.shared), Wake::new()) else {
            return self.refuse(stream);
        };
        let wake = Arc::new(wake);
        self.last_conn += 1;
        let conn = ConnId(self.last_conn);
        let connection = Connection::new(conn, stream, Arc::clone(&wake), Arc::clone(&self.shared), place);
        let builder = thread::Builder::new().name(format!("{}.{conn}", self.shared.settings.name));
        // The lock is held over the start: a thread that runs can always be found.
        let mut threads = self.shared.threads();
        if let Ok(thread) = builder.spawn(move || connection.serve()) {
            threads.insert(conn, Running { wake, thread });
        }
    }

    fn refuse(&mut self, stream: TcpStream) {
        let refusal = Refusal::CROWDED.response().bytes(&Method::GET, Some("close"));
        // A fresh connection has room for these few bytes.
        if write_ready(&stream, &refusal).is_err() || stream.shutdown(std::net::Shutdown::Write).is_err() {
            return;
        }
        if self.goodbyes.len() >= GOODBYES_MAX {
            self.goodbyes.pop_front();
        }
        self.goodbyes.push_back((Deadline::after(GOODBYE), stream));
    }

    fn reap(&self) {
        let mut threads = self.shared.threads();
        let ended: Vec<_> =
            threads.iter().filter(|(_, running)| running.thread.is_finished()).map(|(conn, _)| *conn).collect();
        for conn in ended {
            if let Some(running) = threads.remove(&conn) {
                // It has ended, so this does not wait; a panic was told by the panic hook.
                let _ = running.thread.join();
            }
        }
    }
}

/// Reads away what a refused client still says. A client that has ended its side needs no goodbye.
fn is_still_there(stream: &TcpStream) -> bool {
    let mut bytes = [0_u8; 4_096];
    for _ in 0..16 {
        match read_ready(stream, &mut bytes) {
            Ok(None) => return true,
            Ok(Some(0)) | Err(_) => return false,
            Ok(Some(_)) => {}
        }
    }
    true
}
