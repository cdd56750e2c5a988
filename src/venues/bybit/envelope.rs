//! An HTTP answer: is it whole, is it the venue's, what does its code prove, what do its headers tell.
//!
//! Always holds: only a whole envelope with code 0 and status 200 is `Ok`; nothing of the key reaches a text.

use std::time::Duration;

use serde_json::Value;

use super::codes::{self, About, Verdict};
use crate::domain::event::LimitNews;
use crate::domain::request::{Answered, Refusal, RefusalKind};
use crate::domain::secret::ApiKey;
use crate::domain::time::Wall;
use crate::venues::json::{self, Fields, Misread};
use crate::venues::wire::HttpResponse;

/// The shortest wait for a limit to reset.
const WAIT_MIN: Duration = Duration::from_millis(100);
/// The longest a limit may make us wait on its own word: its windows are seconds. Never as long as a ban, which holds
/// back cancels as well.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// The longest `Retry-After` that is obeyed before the venue is asked again. Bans are minutes; a damaged or invented
/// number must not end the cancels of this process for good.
const TOLD_WAIT_MAX: Duration = Duration::from_secs(3_600);

/// Why there is nothing good to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotGood {
    /// This is the answer.
    Answered(Box<Answered>),
    /// Our clock is off; the venue's stood there.
    ClockWrong(Wall),
}

impl NotGood {
    /// The refusal, if it is one.
    pub(super) fn refusal(&self) -> Option<&Refusal> {
        match self {
            NotGood::Answered(answered) => match &**answered {
                Answered::Refused(refusal) => Some(refusal),
                _ => None,
            },
            NotGood::ClockWrong(_) => None,
        }
    }
}

impl From<Misread> for NotGood {
    /// What cannot be understood proves nothing.
    fn from(misread: Misread) -> NotGood {
        NotGood::Answered(Box::new(Answered::Unknown(misread.0)))
    }
}

/// An answer taken apart.
#[derive(Debug)]
pub(super) struct Envelope {
    /// The body, where it is JSON.
    value: Result<Value, Misread>,
    status: u16,
    text: String,
    wait: Option<Duration>,
    /// The venue's clock when it answered.
    pub(super) server_time: Option<Wall>,
}

impl Envelope {
    /// Takes an answer apart.
    pub(super) fn open(response: &HttpResponse) -> Envelope {
        let value = json::read_bytes(&response.body);
        let by_body =
            value.as_ref().ok().and_then(|value| Fields::of(value, "answer").ok()?.maybe_millis("time").ok()?);
        let by_header = response.header("timenow").and_then(|text| text.trim().parse().ok()).map(Wall::from_millis);
        let server_time = by_body.or(by_header).filter(|time| time.millis() > 0);
        let text = match response.body.get(..4_000.min(response.body.len())) {
            Some(head) => String::from_utf8_lossy(head).into_owned(),
            None => String::new(),
        };
        Envelope { value, status: response.status, text, wait: wait_of(response, server_time), server_time }
    }

    /// The `result` of an answer that says everything went well.
    pub(super) fn result(&self, about: About, key: Option<&ApiKey>) -> Result<Fields<'_>, NotGood> {
        let envelope = self.good(about, key)?;
        Ok(envelope.object("result", "result")?)
    }

    /// The whole envelope of an answer that says everything went well.
    pub(super) fn good(&self, about: About, key: Option<&ApiKey>) -> Result<Fields<'_>, NotGood> {
        let body = self.value.as_ref().map_err(Clone::clone).and_then(|value| Fields::of(value, "answer"));
        let code = body.clone().and_then(|fields| fields.integer("retCode"));
        if self.status != 200 {
            let (by_status, mend) = codes::of_status(self.status, &self.text);
            let Ok(code) = code else {
                let said = joined(&redacted(&self.title(), key), mend);
                return Err(self.not_good(by_status, &format!("HTTP {}: {said}", self.status)));
            };
            // The status decides what is proved. Where it shuts the door, the code may say why in a finer way.
            let verdict = match (by_status, codes::verdict(about, code)) {
                (
                    Verdict::Refused(_),
                    (finer @ (Verdict::Refused(_) | Verdict::Later(_) | Verdict::ClockWrong), mend),
                ) if self.status != 403 || matches!(finer, Verdict::Later(_)) => {
                    return Err(self.not_good(finer, &self.words(code, &body, mend, key)));
                }
                (by_status, _) => by_status,
            };
            let said = self.words(code, &body, mend, key);
            return Err(self.not_good(verdict, &format!("HTTP {}: {said}", self.status)));
        }
        let code = code.map_err(|misread| Misread(format!("an answer that cannot be read: {misread}")))?;
        let (verdict, mend) = codes::verdict(about, code);
        match verdict {
            Verdict::Done => Ok(body?),
            other => Err(self.not_good(other, &self.words(code, &body, mend, key))),
        }
    }

    /// What a code means for one order of a batch.
    pub(super) fn leg(&self, about: About, code: i64, words: &str, key: Option<&ApiKey>) -> Leg {
        let (verdict, mend) = codes::verdict(about, code);
        let words = joined(&format!("{code} {}", redacted(words, key)), mend);
        match self.not_good(verdict, &words) {
            _ if verdict == Verdict::Done => Leg::Done,
            NotGood::Answered(answered) => Leg::Not(*answered),
            // One order of a batch cannot be signed again by itself.
            NotGood::ClockWrong(_) => Leg::Not(Answered::Later { wait: WAIT_MIN, why: words }),
        }
    }

    fn not_good(&self, verdict: Verdict, words: &str) -> NotGood {
        let words = words.to_owned();
        NotGood::Answered(Box::new(match verdict {
            Verdict::Refused(kind) => Answered::Refused(Refusal { kind, text: words }),
            Verdict::Later(at_least) => {
                Answered::Later { wait: self.wait.unwrap_or(at_least).max(at_least).max(WAIT_MIN), why: words }
            }
            Verdict::ClockWrong => match server_timestamp(&self.text).or(self.server_time) {
                Some(server) => return NotGood::ClockWrong(server),
                None => Answered::Later { wait: Duration::from_secs(1), why: words },
            },
            Verdict::Unknown | Verdict::Done => Answered::Unknown(words),
        }))
    }

    fn words(&self, code: i64, body: &Result<Fields<'_>, Misread>, mend: &str, key: Option<&ApiKey>) -> String {
        let said = body.as_ref().ok().and_then(|fields| fields.maybe_text("retMsg").ok()?).unwrap_or("");
        joined(&format!("{code} {}", redacted(said, key)), mend)
    }

    /// What a page that is not the venue's JSON calls itself: its first words, without markup.
    fn title(&self) -> String {
        let lower = self.text.to_ascii_lowercase();
        let title = lower.find("<title>").and_then(|at| {
            let begin = at + "<title>".len();
            let length = lower.get(begin..)?.find("</title>")?;
            self.text.get(begin..begin + length)
        });
        match title {
            Some(title) => format!("a page titled `{}`", json::clipped(title.trim())),
            None if self.text.is_empty() => "no body".to_owned(),
            None => "a body that is not the venue's".to_owned(),
        }
    }
}

/// What a code proves about one order of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leg {
    /// Done, or taken.
    Done,
    /// Anything else.
    Not(Answered),
}

fn joined(words: &str, mend: &str) -> String {
    if mend.is_empty() { words.to_owned() } else { format!("{words}. {mend}") }
}

/// The venue's words without what must not be logged: a wrong signature is answered with all that was signed, the
/// key's name included.
pub(super) fn redacted(words: &str, key: Option<&ApiKey>) -> String {
    let mut text = String::new();
    let mut rest = words;
    while let Some(at) = rest.find("origin_string") {
        text.push_str(&rest[..at]);
        text.push_str("origin_string[..]");
        let tail = &rest[at + "origin_string".len()..];
        // To the last bracket there is, or to the end: what was signed may hold brackets of its own.
        rest = tail.rfind(']').map_or("", |end| &tail[end + 1..]);
    }
    text.push_str(rest);
    json::clipped(&without_key(&text, key))
}

fn without_key(words: &str, key: Option<&ApiKey>) -> String {
    let mut text = words.to_owned();
    for secret in key.into_iter().flat_map(|key| [key.key.expose(), key.secret.expose()]) {
        if !secret.is_empty() {
            text = text.replace(secret, "[key]");
        }
    }
    text
}

/// An answer none of whose words hold the key: whatever could not be read is quoted in them, and the venue may have put
/// the key anywhere.
pub(super) fn safe(answered: Answered, key: Option<&ApiKey>) -> Answered {
    let safe = |words: String| without_key(&words, key);
    match answered {
        Answered::Refused(Refusal { kind, text }) => Answered::Refused(Refusal { kind, text: safe(text) }),
        Answered::Later { wait, why } => Answered::Later { wait, why: safe(why) },
        Answered::NotSent(why) => Answered::NotSent(safe(why)),
        Answered::Unknown(why) => Answered::Unknown(safe(why)),
        // What it says in words was made safe line by line.
        Answered::Done(facts) => Answered::Done(facts),
    }
}

/// The venue's clock as a refused timestamp quotes it: `server_timestamp[1696396707813]`.
fn server_timestamp(text: &str) -> Option<Wall> {
    let (_, tail) = text.split_once("server_timestamp[")?;
    let (number, _) = tail.split_once(']')?;
    number.trim().parse().ok().filter(|millis| *millis > 0).map(Wall::from_millis)
}

/// How long the headers ask us to wait: until the limit resets by the venue's own clock, or what `Retry-After` says.
fn wait_of(response: &HttpResponse, server_time: Option<Wall>) -> Option<Duration> {
    let number = |name: &str| response.header(name).and_then(|text| text.trim().parse::<i64>().ok());
    let reset = number("x-bapi-limit-reset-timestamp").zip(server_time).map(|(reset, now)| {
        let millis = u64::try_from(reset.saturating_sub(now.millis())).unwrap_or(0);
        Duration::from_millis(millis).min(WAIT_MAX)
    });
    let told = number("retry-after").and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
    reset.max(told.map(|told| told.min(TOLD_WAIT_MAX)))
}

/// What the headers tell of a bucket.
pub(super) fn limits(response: &HttpResponse, bucket: Option<usize>) -> Vec<LimitNews> {
    let number = |name: &str| response.header(name).and_then(|text| text.trim().parse::<u32>().ok());
    match (bucket, number("x-bapi-limit"), number("x-bapi-limit-status")) {
        (Some(bucket), Some(limit), Some(left)) if limit > 0 => vec![LimitNews { bucket, limit, left }],
        _ => Vec::new(),
    }
}

/// A refusal in our own words.
pub(super) fn refused(text: impl Into<String>) -> Box<Answered> {
    Box::new(Answered::Refused(Refusal { kind: RefusalKind::Other, text: text.into() }))
}
