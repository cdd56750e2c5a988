//! One call to a venue: the codec's requests, carried by a wire, read by the codec.
//!
//! Always holds: a create is handed to the wire once, whatever comes of it; what the wire calls `NotSent` or `Lost` goes
//! to the codec as it is; every answer that tells the venue's time sets the venue's clock.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

use super::venue_clock::VenueClock;
use crate::domain::event::{Event, LimitNews};
use crate::domain::ids::VenueId;
use crate::domain::rates::Billing;
use crate::domain::request::{Answered, Call, Refusal, RefusalKind, Request};
use crate::domain::time::Boot;
use crate::outbox::BAN_WAIT_MIN;
use crate::runtime::channels::EventSender;
use crate::runtime::clock::Clock;
use crate::runtime::gate::Gate;
use crate::runtime::workers::{Cuts, Transport};
use crate::venues::wire::{HttpOutcome, HttpRequest, Lane};
use crate::venues::{Codec, Part, Reading, Signing};

/// Whole time of a request that cancels.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(3);
/// A create that may count for less than this is not worth its way: it would come too late, and the venue would say that
/// our clock is wrong.
const CREATE_LEAST: Duration = Duration::from_millis(250);
/// Requests one call may take. The longest are lists of instruments and windows of fills.
const REQUESTS_MAX: u32 = 200;
/// The outbox counts a call as one request. So the first few requests of a call follow each other at once, and further
/// ones not faster than this: what the outbox leaves unused of a limit (a fifth of 50 a second, and each list has its
/// own 50) has room for them.
const PACE: Duration = Duration::from_millis(50);
const PARTS_UNPACED: u32 = 4;

/// Carries bytes. The one seam between us and sockets.
pub trait Wire: Send {
    /// Sends a request and waits for its answer, at most this long. `may_leave` is read before the first byte.
    fn send(&mut self, request: &HttpRequest, timeout: Duration, may_leave: &dyn Fn() -> bool) -> HttpOutcome;

    /// What cuts short what `send` waits for, from another thread.
    fn cuts(&self) -> Cuts;
}

/// Everything the workers of a venue share.
#[derive(Clone)]
pub struct Shared {
    /// Which venue.
    pub venue: VenueId,
    /// Its words.
    pub codec: Arc<dyn Codec>,
    /// Its clock.
    pub clock: VenueClock,
    /// Whole time of a request that asks or creates.
    pub request_timeout: Duration,
    /// What we take for granted of its limits.
    pub billing: Billing,
    nonces: Arc<AtomicI64>,
    /// Held from signing to answer where requests must arrive in order.
    in_order: Arc<Mutex<()>>,
    told_limits: Arc<Mutex<Vec<(usize, u32)>>>,
    /// Until when the venue wants to hear nothing at all (nanoseconds of the boot clock).
    silent_until: Arc<AtomicU64>,
}

impl Shared {
    /// For a venue's workers.
    pub fn new(venue: VenueId, codec: Arc<dyn Codec>, request_timeout: Duration, billing: Billing) -> Shared {
        Shared {
            venue,
            codec,
            clock: VenueClock::default(),
            request_timeout,
            billing,
            nonces: Arc::new(AtomicI64::new(0)),
            in_order: Arc::default(),
            told_limits: Arc::default(),
            silent_until: Arc::default(),
        }
    }

    /// What a signature needs, now.
    pub fn signing(&self, valid_for: Duration) -> Signing {
        let by_clock = Clock.wall().millis().saturating_mul(1_000_000);
        let before = self.nonces.fetch_max(by_clock, Ordering::SeqCst);
        let nonce = self.nonces.fetch_add(1, Ordering::SeqCst).max(before) + 1;
        let mut chance = [0; 32];
        // Without the system's chance a codec that needs it gets zeros, and the venue refuses what it signed.
        let _ = SystemRandom::new().fill(&mut chance);
        Signing { now: self.clock.now(), valid_for, nonce: nonce.unsigned_abs(), chance }
    }

    /// Takes note of an answer that is a ban, and says so: the outbox holds back every request, and a stop that cannot
    /// cancel must not leave its operator wondering why.
    fn note_ban(&self, at: Boot, answered: &Answered) {
        let Answered::Later { wait, why } = answered else { return };
        if *wait < BAN_WAIT_MIN {
            return;
        }
        let before = Boot::from_nanos(self.silent_until.fetch_max(at.after(*wait).nanos(), Ordering::SeqCst));
        if before <= at {
            log::error!("The venue wants no request for {} s, cancels included: {why}", wait.as_secs());
        }
    }

    /// Whether the venue wants to hear nothing now.
    fn is_silent(&self, at: Boot) -> bool {
        at.nanos() < self.silent_until.load(Ordering::SeqCst)
    }

    /// Limits that are not what we took for granted, each told once.
    fn news_of(&self, limits: &[LimitNews]) -> Vec<LimitNews> {
        let mut told = self.told_limits.lock().unwrap_or_else(PoisonError::into_inner);
        let mut news = Vec::new();
        for limit in limits {
            let known = told.iter().rev().find(|(bucket, _)| *bucket == limit.bucket).map(|(_, known)| *known);
            let known = known.or_else(|| self.billing.buckets.get(limit.bucket).map(|bucket| bucket.limit));
            if known.is_some_and(|known| known != limit.limit) {
                told.retain(|(bucket, _)| *bucket != limit.bucket);
                told.push((limit.bucket, limit.limit));
                news.push(*limit);
            }
        }
        news
    }
}

/// A worker's way to a real venue.
pub struct LiveTransport {
    shared: Shared,
    wire: Box<dyn Wire>,
    gate: Gate,
    events: Option<EventSender>,
}

impl LiveTransport {
    /// Over a wire. News of limits go to `events`, where there are any.
    pub fn new(shared: Shared, wire: Box<dyn Wire>, gate: Gate, events: Option<EventSender>) -> LiveTransport {
        LiveTransport { shared, wire, gate, events }
    }

    /// How far the venue's clock is ahead of ours.
    pub fn clock_offset_ms(&self) -> i64 {
        self.shared.clock.offset_ms()
    }

    fn converse(&mut self, call: &Call, not_after: Boot) -> Answered {
        let mut part = Part::default();
        let mut was_clock_wrong = false;
        for _ in 0..REQUESTS_MAX {
            let valid_for = Clock.boot().until(not_after);
            let least = if call.raises_exposure() { CREATE_LEAST } else { Duration::from_nanos(1) };
            if valid_for < least {
                return Answered::NotSent("it waited past its deadline and was not sent".into());
            }
            let codec = Arc::clone(&self.shared.codec);
            let (http, outcome, sent) = {
                let order = Arc::clone(&self.shared.in_order);
                let _turn = codec.is_ordered().then(|| order.lock().unwrap_or_else(PoisonError::into_inner));
                let http = match codec.request(call, &part, &self.shared.signing(valid_for)) {
                    Ok(http) => http,
                    Err(answered) => return *answered,
                };
                let sent = Clock.boot();
                let outcome = self.carry(&http, call);
                (http, outcome, sent)
            };
            let (back, wall) = (Clock.boot(), Clock.wall());
            let read = codec.read(call, &part, &outcome);
            log::trace!("{http:?} for {}: {:?}", call.word(), read.reading);
            self.tell_limits(&read.limits);
            match read.reading {
                Reading::Answered(answered) => {
                    self.shared.note_ban(back, &answered);
                    if let Some(server) = read.server_time {
                        self.shared.clock.heard(server, sent, back, wall);
                    }
                    return answered;
                }
                Reading::More(next) => {
                    part = next;
                    if part.number >= PARTS_UNPACED {
                        pause(Clock.boot().until(sent.after(PACE)));
                    }
                }
                Reading::ClockWrong { server } => {
                    match was_clock_wrong {
                        false => self.shared.clock.heard(server, sent, back, wall),
                        true => self.shared.clock.corrected(server, sent, back, wall),
                    }
                    // Not executed, says the venue; a create is not sent again all the same. The next one is right.
                    if call.raises_exposure() {
                        let text = "the venue found our clock wrong; it is set right now".to_owned();
                        return Answered::Refused(Refusal { kind: RefusalKind::NotNow, text });
                    }
                    if std::mem::replace(&mut was_clock_wrong, true) {
                        let why = "the venue finds our clock wrong: set this machine's clock".to_owned();
                        return Answered::Later { wait: Duration::from_secs(1), why };
                    }
                }
            }
        }
        Answered::Unknown(format!("no end of the answer after {REQUESTS_MAX} requests"))
    }

    fn carry(&mut self, http: &HttpRequest, call: &Call) -> HttpOutcome {
        let timeout = match http.lane {
            Lane::Cancel => CANCEL_TIMEOUT.min(self.shared.request_timeout),
            Lane::Create | Lane::Read => self.shared.request_timeout,
        };
        let (gate, raises) = (&self.gate, call.raises_exposure());
        self.wire.send(http, timeout, &|| !(raises && gate.is_shut()))
    }

    fn tell_limits(&self, limits: &[LimitNews]) {
        let Some(events) = &self.events else { return };
        for news in self.shared.news_of(limits) {
            events.send(Event::Limits(self.shared.venue, news));
        }
    }
}

fn pause(wait: Duration) {
    if !wait.is_zero() {
        // Nobody sends on it: only the time ends it.
        let _ = crossbeam_channel::never::<()>().recv_timeout(wait);
    }
}

impl Transport for LiveTransport {
    fn call(&mut self, request: &Request) -> Answered {
        self.converse(&request.call, request.not_after)
    }

    fn cuts(&self) -> Option<Cuts> {
        Some(self.wire.cuts())
    }

    /// Asks the time on the connection that cancels use, so that it is open when they need it.
    fn keep_warm(&mut self) {
        if self.shared.is_silent(Clock.boot()) {
            return;
        }
        let signing = self.shared.signing(self.shared.request_timeout);
        let part = Part::default();
        let Ok(mut http) = self.shared.codec.request(&Call::Time, &part, &signing) else { return };
        http.lane = Lane::Cancel;
        let sent = Clock.boot();
        let outcome = self.wire.send(&http, CANCEL_TIMEOUT, &|| true);
        let (back, wall) = (Clock.boot(), Clock.wall());
        let read = self.shared.codec.read(&Call::Time, &part, &outcome);
        if let Reading::Answered(answered) = &read.reading {
            self.shared.note_ban(back, answered);
        }
        if let Some(server) = read.server_time {
            self.shared.clock.heard(server, sent, back, wall);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ScriptedCodec, ScriptedWire, answer_of, request_of};
    use super::*;
    use crate::domain::request::Facts;
    use crate::domain::time::Wall;

    fn transport(script: Vec<HttpOutcome>, readings: Vec<Reading>) -> (LiveTransport, ScriptedWire) {
        let wire = ScriptedWire::new(script);
        let codec = Arc::new(ScriptedCodec::new(readings));
        let shared = Shared::new(VenueId(0), codec, Duration::from_secs(5), Billing::default());
        (LiveTransport::new(shared, Box::new(wire.clone()), Gate::default(), None), wire)
    }

    #[test]
    fn a_call_goes_on_until_the_codec_has_its_answer() {
        let more = Reading::More(Part { number: 1, ..Part::default() });
        let done = Reading::Answered(Answered::Done(Facts::Time(Wall::from_millis(7))));
        let (mut transport, wire) = transport(vec![answer_of(200), answer_of(200)], vec![more, done]);
        assert_eq!(transport.call(&request_of(Call::Time)), Answered::Done(Facts::Time(Wall::from_millis(7))));
        assert_eq!(wire.n_sent(), 2);
    }

    #[test]
    fn a_long_list_does_not_outrun_the_limits_that_the_outbox_counts_by_calls() {
        let more = |number| Reading::More(Part { number, ..Part::default() });
        let done = Reading::Answered(Answered::Done(Facts::Time(Wall::from_millis(7))));
        let readings = (1..12).map(more).chain([done]).collect();
        let (mut transport, wire) = transport(vec![answer_of(200); 12], readings);
        let began = Clock.boot();
        assert!(matches!(transport.call(&request_of(Call::Time)), Answered::Done(_)));
        assert_eq!(wire.n_sent(), 12);
        // The first five at once, each of the seven others a pace after the one before: never sooner, whatever else.
        assert!(Clock.boot().since(began) >= PACE * 7);
    }

    #[test]
    fn under_a_ban_no_connection_is_kept_warm() {
        let banned = |seconds| {
            let why = "banned".to_owned();
            Reading::Answered(Answered::Later { wait: Duration::from_secs(seconds), why })
        };
        let (mut transport, wire) = transport(vec![answer_of(403); 3], vec![banned(1), banned(600), banned(600)]);
        transport.keep_warm();
        transport.keep_warm();
        assert_eq!(wire.n_sent(), 2, "a limit is no ban");
        transport.keep_warm();
        assert_eq!(wire.n_sent(), 2);
    }

    #[test]
    fn a_wrong_clock_is_set_and_the_question_asked_once_more() {
        let server = Clock.wall().plus_millis(90_000);
        let wrong = Reading::ClockWrong { server };
        let (mut asks, wire) = transport(vec![answer_of(200), answer_of(200)], vec![wrong.clone(), wrong]);
        assert!(matches!(asks.call(&request_of(Call::Balances)), Answered::Later { .. }));
        assert_eq!(wire.n_sent(), 2);
        let off_by_ms = asks.shared.clock.offset_ms() - 90_000;
        assert!(off_by_ms.abs() < 5_000, "{off_by_ms}");
    }

    #[test]
    fn a_conversation_without_an_end_is_given_up() {
        let more = Reading::More(Part::default());
        let (mut transport, wire) = transport(vec![answer_of(200); 300], vec![more; 300]);
        assert!(matches!(transport.call(&request_of(Call::Instruments)), Answered::Unknown(_)));
        assert_eq!(wire.n_sent(), REQUESTS_MAX as usize);
    }

    #[test]
    fn a_request_past_its_deadline_is_not_even_made() {
        let (mut transport, wire) = transport(Vec::new(), Vec::new());
        let mut request = request_of(Call::Time);
        request.not_after = Boot::ZERO;
        assert!(matches!(transport.call(&request), Answered::NotSent(_)));
        assert_eq!(wire.n_sent(), 0);
    }

    #[test]
    fn nonces_rise_and_never_repeat_between_threads() {
        let codec = Arc::new(ScriptedCodec::new(Vec::new()));
        let shared = Shared::new(VenueId(0), codec, Duration::from_secs(5), Billing::default());
        let drawn: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..500).map(|_| shared.signing(Duration::ZERO).nonce).collect::<Vec<_>>()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(drawn.iter().all(|nonces| nonces.is_sorted_by(|one, next| one < next)));
        let all: std::collections::BTreeSet<_> = drawn.iter().flatten().collect();
        assert_eq!(all.len(), 2_000);
    }

    #[test]
    fn a_limit_that_is_not_what_we_thought_is_told_once() {
        let codec = Arc::new(ScriptedCodec::new(Vec::new()));
        let bucket = crate::domain::rates::Bucket { name: "cancel".into(), limit: 10, per: Duration::from_secs(1) };
        let billing = Billing { buckets: vec![bucket], charges: Vec::new() };
        let shared = Shared::new(VenueId(0), codec, Duration::from_secs(5), billing);
        let news = |limit| LimitNews { bucket: 0, limit, left: 3 };
        assert!(shared.news_of(&[news(10)]).is_empty());
        assert_eq!(shared.news_of(&[news(20)]), [news(20)]);
        assert!(shared.news_of(&[news(20)]).is_empty());
        assert_eq!(shared.news_of(&[news(10)]), [news(10)]);
    }
}
