//! Cutting a call short from another thread.
//!
//! Always holds: a cut ends the call that is under way at that moment and no other; a closed client starts no call.
//! Never does: keep a socket open. A second handle of it would defeat a hard close, so only a weak one is kept.

use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

#[derive(Debug, Default)]
struct State {
    is_under_way: bool,
    is_cut: bool,
    is_closed: bool,
    socket: Weak<TcpStream>,
}

/// What a client and its cutters share.
#[derive(Debug, Default)]
pub(super) struct Control(Mutex<State>);

/// Ends what a client waits for, from another thread. Cloned cheap; outlives the client.
#[derive(Clone, Debug)]
pub struct Cutter(pub(super) Arc<Control>);

impl Cutter {
    /// Cuts the call that is under way, if one is: it ends at once (a connection being made: by its own time-out), as
    /// `NotSent` if no byte had left, else as `Lost`. The next call finds the client as usable as before.
    pub fn cut(&self) {
        let mut state = self.0.lock();
        if state.is_under_way {
            state.cut();
        }
    }

    /// Cuts, and refuses every call from now on.
    pub fn close(&self) {
        let mut state = self.0.lock();
        state.is_closed = true;
        state.cut();
    }
}

impl State {
    fn cut(&mut self) {
        self.is_cut = true;
        if let Some(socket) = self.socket.upgrade() {
            // An error means that it is closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Control {
    /// A call begins. Refused once closed.
    pub(super) fn begin(&self) -> bool {
        let mut state = self.lock();
        state.is_under_way = true;
        state.is_cut = state.is_closed;
        !state.is_closed
    }

    /// The call is over.
    pub(super) fn end(&self) {
        self.lock().is_under_way = false;
    }

    /// The socket that the call uses from now on. Refused if the call was cut before it existed.
    pub(super) fn hold(&self, socket: &Arc<TcpStream>) -> bool {
        let mut state = self.lock();
        state.socket = Arc::downgrade(socket);
        !state.is_cut
    }

    /// Whether the call under way was cut.
    pub(super) fn is_cut(&self) -> bool {
        self.lock().is_cut
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
