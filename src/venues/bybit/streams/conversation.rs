//! What public and private sockets have in common: requests that wait for their answers, pings, silence.
//!
//! Always holds: an answer counts for one request, found by its number, else by the topics it names, else by age; a
//! request without an answer for ten seconds is overdue. What is no answer and no news of a topic confirms nothing.
//! Never does: show an API key or a signature, though the venue may echo them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::secret::Secret;
use crate::domain::time::{Boot, Wall};
use crate::venues::StreamOut;
use crate::venues::json::{self, Fields, Misread};

/// An answer, a pong and the pulse of a market may take this long.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Length of a signature in hex; runs of this many hex digits are not shown.
const SIGNATURE_DIGITS: usize = 64;
/// "Repeat auth": the login before this one counts.
const ALREADY_LOGGED_IN: i64 = 20_001;

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// Log in.
    Auth,
    /// Begin with topics.
    Subscribe,
    /// End with topics.
    Unsubscribe,
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Verb::Auth => "auth",
            Verb::Subscribe => "subscribe",
            Verb::Unsubscribe => "unsubscribe",
        }
    }
}

/// How much hangs on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// Without it the stream is of no use.
    Needed,
    /// The stream goes on without it.
    Extra,
}

/// A request whose answer has not come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) verb: Verb,
    pub(super) topics: Vec<String>,
    pub(super) weight: Weight,
    id: String,
    at: Boot,
}

impl Asked {
    /// For the operator.
    pub(super) fn name(&self) -> String {
        match self.verb {
            Verb::Auth => "login".to_owned(),
            Verb::Subscribe => format!("subscription of {}", named(&self.topics)),
            Verb::Unsubscribe => format!("end of the subscription of {}", named(&self.topics)),
        }
    }
}

/// The first few topics by name, the others as a count.
fn named(topics: &[String]) -> String {
    const SHOWN: usize = 10;
    let shown = topics.iter().take(SHOWN).map(|topic| json::clipped(topic)).collect::<Vec<_>>().join(", ");
    match topics.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// What a frame is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Heard {
    /// News of a topic: its name and the whole frame.
    News(String, Value),
    /// A request was done, all of it.
    Agreed(Asked),
    /// A request, or the named part of its topics, was refused, in the venue's words.
    Refused(Asked, String),
    /// Nothing that needs an act.
    Nothing,
    /// Nothing that needs an act, but worth a line.
    Remark(String),
}

/// One connection's requests and signs of life.
#[derive(Clone, Debug, Default)]
pub(super) struct Conversation {
    open: bool,
    n_asked: u64,
    waiting: Vec<Asked>,
    ping_at: Option<Boot>,
    heard_at: Boot,
    hidden: Option<Secret>,
}

impl Conversation {
    /// `hidden` is never shown, even if the venue echoes it.
    pub(super) fn new(hidden: Option<Secret>) -> Conversation {
        Conversation { hidden, ..Conversation::default() }
    }

    /// A new connection: nothing was asked, nothing was heard.
    pub(super) fn begin(&mut self, at: Boot) {
        *self = Conversation { open: true, heard_at: at, hidden: self.hidden.take(), ..Conversation::default() };
    }

    /// The socket is of no use any more: frames and ticks mean nothing until `begin`.
    pub(super) fn end(&mut self) {
        self.open = false;
    }

    /// Whether the socket is in use.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Whether an answer is due that the stream cannot do without.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.iter().any(|asked| asked.weight == Weight::Needed)
    }

    /// When the last frame came, or when the socket opened.
    pub(super) fn heard_at(&self) -> Boot {
        self.heard_at
    }

    /// Sends a request and remembers it. `args` are the topics, but for a login.
    pub(super) fn ask(&mut self, at: Boot, verb: Verb, topics: &[String], weight: Weight, out: &mut Vec<StreamOut>) {
        let id = self.remember(at, verb, topics, weight);
        out.push(StreamOut::Send(json!({"req_id": id, "op": verb.word(), "args": topics}).to_string()));
    }

    /// Sends the login. Its arguments are kept nowhere.
    pub(super) fn log_in(&mut self, at: Boot, key: &str, expires: Wall, signature: &str, out: &mut Vec<StreamOut>) {
        let id = self.remember(at, Verb::Auth, &[], Weight::Needed);
        let args = json!([key, expires.millis(), signature]);
        out.push(StreamOut::Send(json!({"req_id": id, "op": Verb::Auth.word(), "args": args}).to_string()));
    }

    fn remember(&mut self, at: Boot, verb: Verb, topics: &[String], weight: Weight) -> String {
        self.n_asked += 1;
        let id = format!("{}-{}", verb.word(), self.n_asked);
        self.waiting.push(Asked { verb, topics: topics.to_vec(), weight, id: id.clone(), at });
        id
    }

    /// Sends a ping.
    pub(super) fn ping(&mut self, at: Boot, out: &mut Vec<StreamOut>) {
        if self.open {
            // The oldest one without a pong counts.
            self.ping_at = self.ping_at.or(Some(at));
            out.push(StreamOut::Send(json!({"op": "ping"}).to_string()));
        }
    }

    /// Reads a frame. An error makes the socket useless: what cannot be read may have been news.
    pub(super) fn hear(&mut self, at: Boot, text: &str) -> Result<Heard, String> {
        self.heard_at = at;
        let frame = json::read(text).map_err(|error| format!("a frame that is not understood: {error}"))?;
        if let Some(topic) = frame.get("topic").and_then(Value::as_str) {
            return Ok(Heard::News(topic.to_owned(), frame));
        }
        self.answer(&frame).map_err(|error| format!("an answer that is not understood: {error}"))?
    }

    fn answer(&mut self, frame: &Value) -> Result<Result<Heard, String>, Misread> {
        let fields = Fields::of(frame, "frame")?;
        let op = fields.maybe_text("op")?.unwrap_or("");
        let code = fields.maybe_integer("retCode")?;
        let succeeded = match (fields.maybe_flag("success")?, code) {
            (Some(flag), _) => Some(flag),
            (None, Some(code)) => Some(code == 0 || (op == "auth" && code == ALREADY_LOGGED_IN)),
            (None, None) => None,
        };
        let words = fields.maybe_text("ret_msg")?.or(fields.maybe_text("retMsg")?).unwrap_or("");
        if op == "pong" || op == "ping" {
            if succeeded == Some(false) {
                return Ok(Err(format!("the venue refuses pings: {}", self.shown(words, code))));
            }
            self.ping_at = None;
            return Ok(Ok(Heard::Nothing));
        }
        let (failed, done) = command_topics(&fields)?;
        let id = fields.value("req_id").or(fields.value("reqId")).and_then(Value::as_str).unwrap_or("");
        let place = self.find(id, op, words, &failed, &done);
        let refused = succeeded == Some(false) || !failed.is_empty();
        let (Some(place), Some(_)) = (place, succeeded.or(refused.then_some(false))) else {
            return Ok(if refused {
                Err(format!("the venue tells of an error: {}", self.shown(words, code)))
            } else {
                Ok(Heard::Remark(format!("a frame without a meaning for us, op `{}`", json::clipped(op))))
            });
        };
        if refused {
            let mut asked = self.waiting.remove(place);
            if !failed.is_empty() {
                asked.topics = failed;
            }
            let words = self.shown(words, code);
            return Ok(Ok(Heard::Refused(asked, words)));
        }
        // An answer that lists topics confirms these; the rest of its request waits on.
        let asked = &mut self.waiting[place];
        if !done.is_empty() {
            asked.topics.retain(|topic| !done.contains(topic));
            if !asked.topics.is_empty() {
                return Ok(Ok(Heard::Nothing));
            }
            asked.topics = done;
        }
        Ok(Ok(Heard::Agreed(self.waiting.remove(place))))
    }

    /// The request an answer is for.
    fn find(&self, id: &str, op: &str, words: &str, failed: &[String], done: &[String]) -> Option<usize> {
        let place = |fits: &dyn Fn(&Asked) -> bool| self.waiting.iter().position(fits);
        if !id.is_empty() {
            // A number that is not ours belongs to no request of ours.
            return place(&|asked| asked.id == id);
        }
        let listed = |topic: &String| failed.contains(topic) || done.contains(topic);
        let blamed = |topic: &String| words.contains("topic:") && words.ends_with(&format!("topic:{topic}"));
        place(&|asked| asked.verb != Verb::Unsubscribe && asked.topics.iter().any(listed))
            .or_else(|| place(&|asked| asked.topics.iter().any(blamed)))
            .or_else(|| place(&|asked| asked.verb.word() == op))
    }

    /// What is overdue, in words. Extras are let go without them.
    pub(super) fn overdue(&self, at: Boot) -> Option<String> {
        let late = |since: Boot| at.since(since) > PATIENCE;
        let answer = self.waiting.iter().find(|asked| asked.weight == Weight::Needed && late(asked.at));
        if let Some(asked) = answer {
            return Some(format!("no answer to the {} for {} s", asked.name(), PATIENCE.as_secs()));
        }
        let ping = self.ping_at.filter(|&since| late(since));
        ping.map(|_| format!("no answer to a ping for {} s", PATIENCE.as_secs()))
    }

    /// Takes out the extras whose answers are overdue.
    pub(super) fn overdue_extras(&mut self, at: Boot) -> Vec<Asked> {
        let late = |asked: &Asked| asked.weight == Weight::Extra && at.since(asked.at) > PATIENCE;
        let (late, waiting) = self.waiting.drain(..).partition(late);
        self.waiting = waiting;
        late
    }

    /// A text without the key, and without what may be a signature.
    pub(super) fn safe(&self, words: &str) -> String {
        let key = self.hidden.as_ref().map_or("", Secret::expose);
        let words = if key.is_empty() { words.to_owned() } else { words.replace(key, "***") };
        without_signatures(&words)
    }

    /// The venue's words, fit to be shown.
    pub(super) fn shown(&self, words: &str, code: Option<i64>) -> String {
        let words = json::clipped(&self.safe(words));
        match (code, words.is_empty()) {
            (Some(code), true) => format!("code {code}"),
            (Some(code), false) => format!("{words} (code {code})"),
            (None, true) => "no reason given".to_owned(),
            (None, false) => words,
        }
    }
}

/// Topics an answer names as refused and as done.
fn command_topics(fields: &Fields<'_>) -> Result<(Vec<String>, Vec<String>), Misread> {
    let Some(data @ Value::Object(_)) = fields.value("data") else {
        return Ok((Vec::new(), Vec::new()));
    };
    let data = Fields::of(data, "data")?;
    let topics = |name| -> Result<Vec<String>, Misread> {
        let list = data.maybe_list(name)?.unwrap_or(&[]);
        Ok(list.iter().map(|topic| topic.as_str().map_or_else(|| topic.to_string(), str::to_owned)).collect())
    };
    Ok((topics("failTopics")?, topics("successTopics")?))
}

/// Without runs of hex digits that may be signatures.
fn without_signatures(words: &str) -> String {
    let mut shown = String::with_capacity(words.len());
    let mut run = String::new();
    for letter in words.chars().chain(std::iter::once('\n')) {
        if letter.is_ascii_hexdigit() {
            run.push(letter);
            continue;
        }
        shown.push_str(if run.len() >= SIGNATURE_DIGITS { "***" } else { &run });
        run.clear();
        shown.push(letter);
    }
    shown.pop();
    shown
}
