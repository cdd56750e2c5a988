//! Waits for the service's answer and carries it out, mischief included.
//!
//! Always holds: an answer that is there is sent, also while the server closes; each way to answer ends by a deadline,
//! by the client's leaving, or by the server's closing.

use std::time::Duration;

use crossbeam_channel::{Receiver, TryRecvError};
use http::Method;

use super::Incoming;
use super::connection::{Connection, Over};
use super::head::Refusal;
use super::reply::{Answer, Manner};
use super::response::{Framing, Response};
use crate::net::deadline::Deadline;
use crate::net::socket::{For, read_ready, wait};

/// Nobody waits so long; the client's end, a reset or our closing comes first.
const LONG: Duration = Duration::from_secs(3_600);

/// How the connection goes on.
pub(super) enum Goes {
    /// The next request may come.
    On,
    /// It ends.
    Ends(Manner),
    /// It is a WebSocket from here on: the request, and its key.
    Upgraded(Incoming, String),
}

impl Connection {
    pub(super) fn await_answer(&self, answers: &Receiver<Answer>) -> Result<Answer, Over> {
        let deadline = Deadline::after(self.shared.settings.reply_timeout);
        loop {
            match answers.try_recv() {
                Ok(answer) => return Ok(answer),
                Err(TryRecvError::Disconnected) => {
                    return Ok(Answer::Send(Response::text(500, "the service gave no answer\n")));
                }
                Err(TryRecvError::Empty) => {}
            }
            if self.shared.is_closing() {
                return Err(Refusal::CLOSING.into());
            }
            if deadline.is_over() {
                return Ok(Answer::Send(Response::text(504, "the service did not answer in time\n")));
            }
            // A client may end its side and still want the answer; a broken connection wants none.
            if wait(&self.stream, For::Breaking, Some(&self.wake), deadline).gone {
                return Err(Over::Ended);
            }
            self.wake.clear();
        }
    }

    pub(super) fn carry_out(
        &mut self,
        answer: Answer,
        method: &Method,
        connection: Option<&str>,
    ) -> Result<Goes, Over> {
        match answer {
            Answer::Send(response) => {
                self.write_all(&response.sendable().bytes(method, connection))?;
                Ok(if connection == Some("close") { Goes::Ends(Manner::Close) } else { Goes::On })
            }
            Answer::Drop(manner) => Ok(Goes::Ends(manner)),
            Answer::Hang => {
                self.await_leaving(Deadline::after(LONG));
                Ok(Goes::Ends(Manner::Close))
            }
            Answer::Raw(bytes) => {
                self.write_all(&bytes)?;
                Ok(Goes::Ends(Manner::Close))
            }
            Answer::Truncated(response, body_bytes) => {
                let response = response.sendable();
                let body = response.body_bytes();
                let mut bytes = response.head(Framing::Length(body.len().max(body_bytes + 1)), Some("close"));
                bytes.extend_from_slice(&body[..body_bytes.min(body.len())]);
                self.write_all(&bytes)?;
                Ok(Goes::Ends(Manner::Close))
            }
            Answer::Endless(response) => self.send_for_ever(&response.sendable()),
            Answer::Drip(response, pause) => {
                let response = response.sendable();
                self.write_all(&response.head(Framing::Length(response.body_bytes().len()), Some("close")))?;
                for byte in response.body_bytes() {
                    if self.await_leaving(Deadline::after(pause)) {
                        break;
                    }
                    self.write_all(&[*byte])?;
                }
                Ok(Goes::Ends(Manner::Close))
            }
        }
    }

    fn send_for_ever(&self, response: &Response) -> Result<Goes, Over> {
        self.write_all(&response.head(Framing::Chunked, Some("close")))?;
        let blanks = [b' '; 1_024];
        let body = if response.body_bytes().is_empty() { &blanks[..] } else { response.body_bytes() };
        let mut chunk = format!("{:x}\r\n", body.len()).into_bytes();
        chunk.extend_from_slice(body);
        chunk.extend_from_slice(b"\r\n");
        // A client that leaves, or that stays and does not read, ends this by an error.
        while !self.shared.is_closing() {
            self.write_all(&chunk)?;
        }
        Ok(Goes::Ends(Manner::Close))
    }

    /// Waits and reads away what comes. True: the client ended its side, or it broke, or we are closing.
    fn await_leaving(&self, until: Deadline) -> bool {
        let mut bytes = [0_u8; 8_192];
        loop {
            if self.shared.is_closing() {
                return true;
            }
            match read_ready(&self.stream, &mut bytes) {
                Ok(Some(0)) | Err(_) => return true,
                Ok(Some(_)) if until.is_over() => return false,
                Ok(Some(_)) => {}
                Ok(None) if until.is_over() => return false,
                Ok(None) => {
                    wait(&self.stream, For::Reading, Some(&self.wake), until);
                    self.wake.clear();
                }
            }
        }
    }
}
