//! Request workers: a few threads a venue, one request each at a time.
//!
//! Always holds: every request that goes in is answered, also when its worker panics; what raises exposure is marked as
//! "may have left" before the gate is read, and the gate is read before the first byte; at least two workers of a venue
//! never get creates, and one gets nothing but cancels; the connection for cancels is kept warm, also on a worker that
//! never rests, and never while a request waits for that worker.
//! Never does: retry. Whether to ask again is the machine's business.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::channels::EventSender;
use super::clock::Clock;
use super::gate::Gate;
use crate::domain::event::Event;
use crate::domain::ids::VenueId;
use crate::domain::request::{Answer, Answered, Request};
use crate::domain::time::Boot;
use crate::outbox::{Lane, Next, Outbox};

/// Workers of a paper exchange. The last one is for cancels alone: a venue whose lists hang keeps the others busy for
/// seconds.
pub const LANES_NEAR: [Lane; 4] = [Lane::Any, Lane::Any, Lane::NoCreates, Lane::Cancels];
/// Workers of a real venue, where each carries one request for a whole round trip: with 50 ms eight of them cancel 1,600
/// orders a second in batches of ten, should the venue let them.
pub const LANES_FAR: [Lane; 10] = [
    Lane::Any,
    Lane::Any,
    Lane::NoCreates,
    Lane::NoCreates,
    Lane::NoCreates,
    Lane::NoCreates,
    Lane::Cancels,
    Lane::Cancels,
    Lane::Cancels,
    Lane::Cancels,
];
/// In place of a request's number: the worker looks after its connection. No request ever has this number.
const WARMING: u64 = u64::MAX;

/// The way to a venue. One call, one answer, within the venue's request timeout.
pub trait Transport: Send {
    /// Carries a request out.
    fn call(&mut self, request: &Request) -> Answered;

    /// What cuts short what `call` waits for, from another thread; none where `Severed` does it.
    fn cuts(&self) -> Option<Cuts> {
        None
    }

    /// Called while there is nothing to do, about every `WARM_EVERY`.
    fn keep_warm(&mut self) {}
}

/// Two ways to cut a call short from another thread. It ends unknown, or unsent if nothing had left.
pub struct Cuts {
    /// A create, if that is what is under way.
    pub creates: Box<dyn Fn() + Send>,
    /// Whatever is under way.
    pub all: Box<dyn Fn() + Send>,
}

/// Idle workers keep their connections open this often.
const WARM_EVERY: Duration = Duration::from_secs(10);

/// Cuts short what a transport waits for: its request then ends unknown.
pub type Severed = Receiver<()>;

struct Worker {
    lane: Lane,
    to: Option<Sender<Box<Request>>>,
    is_busy: Arc<AtomicU64>,
    cut: Sender<()>,
    cuts: Option<Cuts>,
    thread: JoinHandle<()>,
}

/// The workers of one venue.
pub struct Workers {
    venue: VenueId,
    workers: Vec<Worker>,
}

impl Workers {
    /// Starts the threads `<name>.rest.1` and up. `transport` makes each its own way to the venue.
    pub fn start(
        venue: VenueId,
        (name, lanes): (&str, &[Lane]),
        gate: &Gate,
        events: &EventSender,
        transport: impl Fn(Severed) -> Result<Box<dyn Transport>, String>,
    ) -> Result<Workers, String> {
        let cannot = |why: &dyn std::fmt::Display| format!("the workers of {name} cannot start: {why}");
        let mut workers = Vec::new();
        for (number, lane) in lanes.iter().copied().enumerate() {
            let (to, requests) = bounded::<Box<Request>>(1);
            let (cut, severed) = bounded(1);
            let is_busy = Arc::new(AtomicU64::new(0));
            let (busy, gate, events, mut way) =
                (Arc::clone(&is_busy), gate.clone(), events.clone(), transport(severed).map_err(|why| cannot(&why))?);
            let cuts = way.cuts();
            let thread = std::thread::Builder::new()
                .name(format!("{name}.rest.{}", number + 1))
                .spawn(move || work((number, &requests), &busy, &gate, &events, way.as_mut()))
                .map_err(|error| cannot(&error))?;
            workers.push(Worker { lane, to: Some(to), is_busy, cut, cuts, thread });
        }
        Ok(Workers { venue, workers })
    }

    /// Hands the next requests to idle workers. Requests that end unsent come back as answers.
    pub fn feed(&mut self, at: Boot, outbox: &mut Outbox, gate: &Gate) -> (Vec<Event>, Option<Boot>) {
        let mut answers = Vec::new();
        let mut wake_at = None;
        // One that looks after its connection is handed something only where no other is free, and is cut short then: with
        // a venue that hangs it would be at it for seconds.
        let turns = [0, WARMING].into_iter().flat_map(|idle| self.workers.iter().map(move |worker| (worker, idle)));
        for (worker, idle) in turns {
            while worker.is_busy.load(Ordering::SeqCst) == idle {
                let gate = if gate.is_shut() { crate::outbox::Gate::Shut } else { crate::outbox::Gate::Open };
                match outbox.next(at, self.venue, worker.lane, gate) {
                    Next::Go(request) => {
                        let Some(to) = &worker.to else { break };
                        worker.is_busy.store(request.id.0, Ordering::SeqCst);
                        // Before the request is in its hands, or the cut could meet that.
                        if let (WARMING, Some(cuts)) = (idle, &worker.cuts) {
                            (cuts.all)();
                        }
                        if let Err(refused) = to.try_send(request) {
                            // Its thread is gone: nothing left, the next worker may do better.
                            let request = refused.into_inner();
                            answers.push(unsent(&request, "the worker thread is gone"));
                        }
                    }
                    Next::Unsent(request, why) => answers.push(unsent(&request, why.words())),
                    Next::Wait { until } => {
                        wake_at = Some(wake_at.map_or(until, |earlier: Boot| earlier.min(until)));
                        break;
                    }
                    Next::Empty => break,
                }
            }
        }
        (answers, wake_at)
    }

    /// Cuts creates that are waiting for their answer.
    pub fn sever(&self) {
        for worker in self.workers.iter().filter(|worker| worker.lane == Lane::Any) {
            let _ = worker.cut.try_send(());
            if let Some(cuts) = &worker.cuts {
                (cuts.creates)();
            }
        }
    }

    /// Tells every worker to end, and hands out the threads for joining. What still waits for an answer is cut short:
    /// whoever closes has its proof, or no time left for one.
    pub fn close(self) -> Vec<JoinHandle<()>> {
        self.workers
            .into_iter()
            .map(|mut worker| {
                worker.to.take();
                let _ = worker.cut.try_send(());
                if let Some(cuts) = &worker.cuts {
                    (cuts.all)();
                }
                worker.thread
            })
            .collect()
    }
}

/// The answer to a request that never left.
pub fn unsent(request: &Request, why: &str) -> Event {
    let answered = Answered::NotSent(why.to_owned());
    Event::Answer(Box::new(Answer { id: request.id, venue: request.venue, left_at: None, answered }))
}

fn work(
    (number, requests): (usize, &Receiver<Box<Request>>),
    busy: &AtomicU64,
    gate: &Gate,
    events: &EventSender,
    transport: &mut dyn Transport,
) {
    // Not all at the same moment: somebody is there for what comes.
    let mut warm_at = Clock.boot().after(WARM_EVERY * (number as u32 + 1) / LANES_FAR.len() as u32);
    loop {
        // Also between two requests: the worker that is handed most of them rests least, and cancels come to it first.
        if Clock.boot() >= warm_at {
            while_idle(busy, || {
                // A failure here must not cost the worker.
                let _ = catch_unwind(AssertUnwindSafe(|| transport.keep_warm()));
            });
            warm_at = Clock.boot().after(WARM_EVERY);
        }
        let request = match requests.recv_timeout(Clock.boot().until(warm_at)) {
            Ok(request) => request,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        // Marked first, gate second, bytes third: whoever shut the gate before this line reads unsent below; whoever
        // shuts it after sees this request as one that may have left.
        let may_have_left = Clock.boot();
        busy.store(request.id.0, Ordering::SeqCst);
        let (left_at, answered) = if request.call.raises_exposure() && gate.is_shut() {
            (None, Answered::NotSent("the gate was shut before its first byte".into()))
        } else {
            let carried = catch_unwind(AssertUnwindSafe(|| transport.call(&request)));
            let answered =
                carried.unwrap_or_else(|_| Answered::Unknown("the worker failed while it was sending".into()));
            let left = !matches!(answered, Answered::NotSent(_));
            // The last moment it may have left is when the call ended, not when it began.
            (left.then(|| Clock.boot().max(may_have_left)), answered)
        };
        busy.store(0, Ordering::SeqCst);
        let answer = Answer { id: request.id, venue: request.venue, left_at, answered };
        if !events.send(Event::Answer(Box::new(answer))) {
            return;
        }
    }
}

/// Does something unless a request is on its way to this worker; meanwhile others are handed what comes. A request that
/// was handed over at that very moment keeps its mark.
fn while_idle(busy: &AtomicU64, act: impl FnOnce()) {
    if busy.compare_exchange(0, WARMING, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
        act();
        let _ = busy.compare_exchange(WARMING, 0, Ordering::SeqCst, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_looks_after_its_connection_is_handed_nothing_and_forgets_no_request() {
        let busy = AtomicU64::new(0);
        let mut seen = 0;
        while_idle(&busy, || seen = busy.load(Ordering::SeqCst));
        assert_eq!((seen, busy.load(Ordering::SeqCst)), (WARMING, 0));
        while_idle(&busy, || busy.store(7, Ordering::SeqCst));
        assert_eq!(busy.load(Ordering::SeqCst), 7, "handed over meanwhile: it is still the worker's");
        while_idle(&busy, || panic!("a request waits"));
    }
}
