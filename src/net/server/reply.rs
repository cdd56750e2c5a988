//! The way back to a client: one answer, or one mischief.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::response::Response;
use crate::net::socket::Wake;

/// What is to be done with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Send(Response),
    Hang,
    Drop(Manner),
    Truncated(Response, usize),
    Endless(Response),
    Drip(Response, Duration),
    Raw(Vec<u8>),
}

/// How a connection is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// As usual.
    Close,
    /// With a reset: the peer gets an error, not an end.
    Reset,
}

/// Answers one request, once, from any thread. Dropped without an answer, the client is told 500.
#[derive(Debug)]
pub struct Reply {
    to: Option<Sender<Answer>>,
    wake: Arc<Wake>,
}

impl Reply {
    pub(super) fn new(wake: Arc<Wake>) -> (Reply, Receiver<Answer>) {
        // One answer a request: never full.
        let (to, from) = bounded(1);
        (Reply { to: Some(to), wake }, from)
    }

    /// Answers.
    pub fn send(self, response: Response) {
        self.answer(Answer::Send(response));
    }

    /// Never answers; the connection stays until the client leaves.
    pub fn hang(self) {
        self.answer(Answer::Hang);
    }

    /// Closes the connection without a byte.
    pub fn drop_connection(self) {
        self.answer(Answer::Drop(Manner::Close));
    }

    /// Resets the connection without a byte: the client sees an error where a closed one shows an end.
    pub fn reset_connection(self) {
        self.answer(Answer::Drop(Manner::Reset));
    }

    /// Promises the whole body (and at least one byte more than is sent), sends this many bytes of it, closes.
    pub fn truncated(self, response: Response, body_bytes: usize) {
        self.answer(Answer::Truncated(response, body_bytes));
    }

    /// Sends the head and then the body over and over, as fast as the client reads, until it leaves. An empty body is
    /// taken for a kilobyte of blanks.
    pub fn endless(self, response: Response) {
        self.answer(Answer::Endless(response));
    }

    /// Sends the head, and then the body one byte at a time with this pause before each.
    pub fn drip(self, response: Response, pause: Duration) {
        self.answer(Answer::Drip(response, pause));
    }

    /// Sends just these bytes and closes.
    pub fn raw(self, bytes: impl Into<Vec<u8>>) {
        self.answer(Answer::Raw(bytes.into()));
    }

    fn answer(mut self, answer: Answer) {
        if let Some(to) = self.to.take() {
            // The connection may have ended meanwhile: then nobody is left to be told.
            let _ = to.try_send(answer);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        // In this order: whoever is woken finds the answer, or finds that none will come.
        self.to.take();
        self.wake.wake();
    }
}
