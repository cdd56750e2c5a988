//! A stream codec and whoever plays the venue for it. Used by both stream targets.
//!
//! A line of the input is a step: `>` a frame, `t` a tick so many milliseconds later, `p` a ping that the machine wants,
//! `o` a new connection, `+` the venue agrees to the oldest request, `-` it refuses it (with the rest of the line as its
//! words), and any other line is a frame as it stands.
//!
//! Must hold for every stream: after `Broken` nothing comes until the next connection, and a tick sends nothing; it is
//! `Up` once a connection at most; what is sent is JSON with an `op`; no text for people holds the secret, nor the key or the signature of a login, and none
//! is longer than a line of a log should be.

use std::collections::VecDeque;
use std::time::Duration;

use lastorders::domain::time::Boot;
use lastorders::venues::{StreamCodec, StreamOut};
use serde_json::{Value, json};

use crate::accounts::{KEY, SECRET, signing};
use crate::script::{command, lines, number_or};

/// Longest step of time: longer than every patience and memory of the codecs.
const STEP_MS_MAX: u64 = 100_000;

/// Longer than ten topics and the venue's words, each cut at 200 characters, and a sentence of ours.
const TEXT_MAX: usize = 3_500;

/// What a target looks at besides what holds for every stream.
pub trait Watch {
    /// A new connection.
    fn opened(&mut self);
    /// Something came out. `frame`: of this frame, if it was one.
    fn saw(&mut self, at: Boot, out: &StreamOut, frame: Option<&str>);
    /// A step of an open connection is over, and this is all that came out of it.
    fn stepped(&mut self, at: Boot, cause: Cause<'_>, out: &[StreamOut]);
}

/// One codec at work.
pub struct Talk<W> {
    codec: Box<dyn StreamCodec>,
    now: Boot,
    is_broken: bool,
    is_up: bool,
    requests: VecDeque<Value>,
    signature: String,
    /// The target's own eyes.
    pub watch: W,
}

/// What led to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause<'a> {
    /// A new connection.
    Opened,
    /// A frame.
    Frame(&'a str),
    /// Time.
    Tick,
    /// The machine's wish.
    Ping,
}

impl<W: Watch> Talk<W> {
    /// A codec on its first connection.
    pub fn new(codec: Box<dyn StreamCodec>, watch: W) -> Talk<W> {
        let mut talk = Talk {
            codec,
            now: Boot::from_nanos(5_000_000_000),
            is_broken: false,
            is_up: false,
            requests: VecDeque::new(),
            signature: String::new(),
            watch,
        };
        talk.open();
        talk
    }

    /// Takes all steps.
    pub fn run(&mut self, input: &[u8]) {
        for line in lines(input) {
            match command(&line) {
                None => {}
                Some(('>', frame)) => self.frame(frame),
                Some(('t', millis)) => self.tick(number_or(millis, 250)),
                Some(('p', _)) => self.step(Cause::Ping),
                Some(('o', _)) => self.open(),
                Some(('+', _)) => self.answer(true, ""),
                Some(('-', words)) => self.answer(false, words),
                Some(_) => self.frame(&line),
            }
        }
    }

    /// Whether it delivers, as far as it said.
    pub fn delivers(&self) -> bool {
        self.is_up && !self.is_broken
    }

    fn open(&mut self) {
        (self.is_broken, self.is_up) = (false, false);
        self.requests.clear();
        self.watch.opened();
        self.step(Cause::Opened);
    }

    fn frame(&mut self, text: &str) {
        self.step(Cause::Frame(text));
    }

    fn tick(&mut self, millis: u64) {
        self.now = self.now.after(Duration::from_millis(millis.min(STEP_MS_MAX)));
        self.step(Cause::Tick);
    }

    fn answer(&mut self, agrees: bool, words: &str) {
        let Some(request) = self.requests.pop_front() else { return };
        let (op, id) = (&request["op"], &request["req_id"]);
        let frame = json!({"success": agrees, "ret_msg": words, "op": op, "req_id": id, "conn_id": "c"});
        self.frame(&frame.to_string());
    }

    fn step(&mut self, cause: Cause<'_>) {
        let mut out = Vec::new();
        match cause {
            Cause::Opened => self.codec.opened(self.now, &signing(), &mut out),
            Cause::Frame(text) => self.codec.frame(self.now, text, &mut out),
            Cause::Tick => self.codec.tick(self.now, &mut out),
            Cause::Ping => self.codec.ping(self.now, &mut out),
        }
        let was_open = !self.is_broken;
        for out in &out {
            self.saw(cause, out);
        }
        if was_open {
            self.watch.stepped(self.now, cause, &out);
        }
    }

    /// Judges one thing that came out.
    pub fn saw(&mut self, cause: Cause<'_>, out: &StreamOut) {
        assert!(!self.is_broken, "after the end: {out:?}");
        match out {
            StreamOut::Broken(why) => {
                self.is_broken = true;
                self.assert_text(why);
            }
            StreamOut::Remark(words) => self.assert_text(words),
            StreamOut::Up => {
                assert!(!self.is_up, "up twice");
                self.is_up = true;
            }
            StreamOut::Send(text) => self.sent(cause, text),
            StreamOut::Order(_) | StreamOut::Fill(_) | StreamOut::Quote(_) | StreamOut::Market(_) => {
                assert!(matches!(cause, Cause::Frame(_)), "news out of {cause:?}");
            }
        }
        let frame = match cause {
            Cause::Frame(text) => Some(text),
            _ => None,
        };
        self.watch.saw(self.now, out, frame);
    }

    fn sent(&mut self, cause: Cause<'_>, text: &str) {
        assert!(cause != Cause::Tick, "sent on its own account");
        assert!(!text.contains(SECRET), "the secret leaves");
        let request: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("no JSON is sent: {error}"));
        match request["op"].as_str() {
            Some("ping") => assert_eq!(cause, Cause::Ping),
            Some("auth") => {
                assert_eq!(cause, Cause::Opened);
                self.signature = request["args"][2].as_str().unwrap_or_default().to_owned();
                assert_eq!(self.signature.len(), 64, "a login without a signature");
                self.requests.push_back(request);
            }
            Some("subscribe" | "unsubscribe") => {
                assert!(cause != Cause::Ping && !text.contains(KEY));
                self.requests.push_back(request);
            }
            op => panic!("nobody knows `{op:?}`"),
        }
    }

    fn assert_text(&self, text: &str) {
        let n_characters = text.chars().count();
        assert!(n_characters > 0 && n_characters < TEXT_MAX, "a text of {n_characters} characters");
        assert!(!text.contains(SECRET), "a text shows the secret: {text}");
        // Only who logs in knows a key.
        if !self.signature.is_empty() {
            assert!(!text.contains(KEY), "a text shows the key: {text}");
            assert!(!text.contains(&self.signature), "a text shows the signature: {text}");
        }
    }
}
