//! Signals that ask us to stop.
//!
//! `StopSignals::register` is the first line of the trader, before any thread: a SIGTERM that comes right after the
//! process began would otherwise end it by default. The handler itself sets the gate flag, so from that instant no
//! create starts, however busy the loop is. Then it writes a byte, which the thread `signals` turns into a call.
//!
//! Always holds: the gate is set before the byte is written; a signal that came between `register` and `watch` is
//! delivered by `watch`; one that comes when nobody watches any more is in the `Latch`; SIGHUP stays ignored where the parent ignored it (`nohup`), SIGTERM and SIGINT never do
//! (a shell starts background jobs with SIGINT ignored, but a stop must be possible all the same).
//! Never does: exit, lock, allocate or log inside a handler; mask signals per thread.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::{flag, low_level};

use super::clock::Clock;
use crate::domain::event::SignalName;
use crate::domain::time::Boot;

/// Name of the thread.
pub const THREAD_NAME: &str = "signals";
/// A signal this soon after the last counted one is the same signal: a terminal and a parent both deliver one Ctrl-C.
pub const SAME_SIGNAL: Duration = Duration::from_secs(1);
/// No wait is longer, so a lost wake-up costs a moment and not the stop.
const LONGEST_WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };

/// Decides which deliveries are signals of their own.
#[derive(Clone, Debug, Default)]
pub struct SignalMerge {
    last_counted: Option<Boot>,
}

impl SignalMerge {
    /// Whether a delivery at this moment counts.
    pub fn counts(&mut self, at: Boot) -> bool {
        let is_same = self.last_counted.is_some_and(|last| at.since(last) < SAME_SIGNAL);
        if !is_same {
            self.last_counted = Some(at);
        }
        !is_same
    }
}

/// How often each signal was delivered, merged ones included.
#[derive(Debug, Default)]
pub struct Deliveries([AtomicU64; 3]);

impl Deliveries {
    /// How often this one was.
    pub fn of(&self, name: SignalName) -> u64 {
        self.0[place_of(name)].load(Ordering::Relaxed)
    }

    /// How often any was.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    fn add(&self, name: SignalName, times: u64) {
        self.0[place_of(name)].fetch_add(times, Ordering::Relaxed);
    }
}

/// Whether any of the signals ever came, set by the handlers themselves: the last word before a restart, when nobody
/// watches any more.
#[derive(Clone, Debug, Default)]
pub struct Latch {
    came: Arc<AtomicBool>,
    ends_at_once: Arc<AtomicBool>,
}

impl Latch {
    /// Whether a signal has come. From this moment on the next one ends the process, as it would end a new program
    /// that has not registered anything yet: so none is lost between this look and the new program's handlers.
    pub fn last_look(&self) -> bool {
        self.ends_at_once.store(true, Ordering::SeqCst);
        self.came.load(Ordering::SeqCst)
    }
}

/// Registered signals that nobody watches yet.
#[derive(Debug)]
pub struct StopSignals {
    pipes: Vec<(SignalName, UnixStream)>,
    deliveries: Arc<Deliveries>,
    latch: Latch,
}

impl StopSignals {
    /// Registers SIGTERM, SIGINT and SIGHUP. To be called before the first thread of the process starts. Each sets
    /// `gate` inside the handler. SIGXFSZ is caught as well, so that a file-size limit is an error and not the end.
    pub fn register(gate: &Arc<AtomicBool>) -> io::Result<StopSignals> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mut wanted = vec![(SignalName::Term, SIGTERM), (SignalName::Int, SIGINT)];
        if !is_ignored(&status, SIGHUP) {
            wanted.push((SignalName::Hup, SIGHUP));
        }
        flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        StopSignals::wire(gate, &wanted)
    }

    fn wire(gate: &Arc<AtomicBool>, wanted: &[(SignalName, i32)]) -> io::Result<StopSignals> {
        let mut pipes = Vec::new();
        let latch = Latch::default();
        for (name, number) in wanted {
            let (reads, writes) = UnixStream::pair()?;
            reads.set_nonblocking(true)?;
            // Actions run in the order they were registered: the gate is shut before anyone wakes.
            flag::register(*number, Arc::clone(gate))?;
            flag::register(*number, Arc::clone(&latch.came))?;
            flag::register_conditional_default(*number, Arc::clone(&latch.ends_at_once))?;
            low_level::pipe::register(*number, writes)?;
            pipes.push((*name, reads));
        }
        Ok(StopSignals { pipes, deliveries: Arc::default(), latch })
    }

    /// What the handlers keep after the watch has ended.
    pub fn latch(&self) -> Latch {
        self.latch.clone()
    }

    /// Starts the thread that calls `on_signal` for every signal that counts, those that came already included.
    pub fn watch(self, on_signal: impl FnMut(SignalName) + Send + 'static) -> io::Result<SignalThread> {
        let (wake, woken) = UnixStream::pair()?;
        let deliveries = Arc::clone(&self.deliveries);
        let thread =
            thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(move || pump(self, &woken, on_signal))?;
        Ok(SignalThread { wake: Some(wake), thread, deliveries })
    }
}

/// The thread `signals`. Dropping it ends the thread without waiting for it.
#[derive(Debug)]
pub struct SignalThread {
    /// Its closing is the wake-up.
    wake: Option<UnixStream>,
    thread: JoinHandle<()>,
    deliveries: Arc<Deliveries>,
}

impl SignalThread {
    /// The counts.
    pub fn deliveries(&self) -> Arc<Deliveries> {
        Arc::clone(&self.deliveries)
    }

    /// Whether the thread has ended: nobody will tell of a signal any more.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends the thread; `false` when it is late. Signals that come later still shut the gate.
    #[allow(clippy::disallowed_methods, reason = "joining with a deadline: std has no timed join")]
    pub fn close(mut self, within: Duration) -> bool {
        self.wake.take();
        let deadline = Clock.boot().after(within);
        while !self.thread.is_finished() {
            if Clock.boot() >= deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        // A panic in the callback has been reported by the panic hook; the thread has ended all the same.
        self.thread.join().is_ok()
    }
}

fn pump(signals: StopSignals, woken: &UnixStream, mut on_signal: impl FnMut(SignalName)) {
    let mut merge = SignalMerge::default();
    let mut closing = false;
    loop {
        for (name, pipe) in &signals.pipes {
            for _ in 0..signals.take(*name, pipe) {
                if merge.counts(Clock.boot()) {
                    on_signal(*name);
                }
            }
        }
        // Looked at after the pipes: what was delivered before a close is still told.
        if closing {
            return;
        }
        let mut waits: Vec<PollFd<'_>> =
            signals.pipes.iter().map(|(_, pipe)| PollFd::new(pipe, PollFlags::IN)).collect();
        waits.push(PollFd::new(woken, PollFlags::IN));
        // An interrupted wait looks again, which is all a wake-up does.
        let _ = poll(&mut waits, Some(&LONGEST_WAIT));
        closing = waits.last().is_some_and(|wait| !wait.revents().is_empty());
    }
}

impl StopSignals {
    /// Takes the bytes of a pipe: one for each delivery.
    fn take(&self, name: SignalName, mut pipe: &UnixStream) -> usize {
        let mut bytes = [0_u8; 256];
        let count = pipe.read(&mut bytes).unwrap_or(0);
        self.deliveries.add(name, count as u64);
        count
    }
}

fn place_of(name: SignalName) -> usize {
    match name {
        SignalName::Term => 0,
        SignalName::Int => 1,
        SignalName::Hup => 2,
    }
}

/// Whether `/proc/<pid>/status` shows a signal as ignored. A text without that line: it is not.
fn is_ignored(status: &str, number: i32) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & (1 << (number - 1)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::{Receiver, unbounded};
    use signal_hook::consts::{SIGUSR1, SIGUSR2, SIGWINCH};

    const PATIENCE: Duration = Duration::from_secs(20);

    fn ms(millis: u64) -> Boot {
        Boot::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn deliveries_within_a_second_of_the_last_counted_one_are_the_same_signal() {
        let cases: &[(&[u64], &[u64])] = &[
            (&[5], &[5]),
            (&[5, 5, 6, 1_004], &[5]),
            (&[5, 1_005], &[5, 1_005]),
            (&[0, 600, 1_200, 1_800], &[0, 1_200]),
            (&[0, 999, 1_000, 1_001, 2_000], &[0, 1_000, 2_000]),
        ];
        for (delivered, counted) in cases {
            let mut merge = SignalMerge::default();
            let kept: Vec<u64> = delivered.iter().copied().filter(|at| merge.counts(ms(*at))).collect();
            assert_eq!(kept, *counted, "{delivered:?}");
        }
    }

    #[test]
    fn an_inherited_ignore_is_read_from_the_mask() {
        let status = "Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000000\n";
        assert!(is_ignored(status, SIGHUP));
        assert!(is_ignored(status, signal_hook::consts::SIGPIPE));
        assert!(!is_ignored(status, SIGINT));
        assert!(!is_ignored("", SIGHUP));
        assert!(!is_ignored("SigIgn:\tnonsense\n", SIGHUP));
    }

    #[test]
    fn this_process_shows_its_ignored_signals() {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        assert!(is_ignored(&status, signal_hook::consts::SIGPIPE), "the standard library ignores it before main");
    }

    fn watched(signals: StopSignals) -> (SignalThread, Receiver<SignalName>) {
        let (tell, told) = unbounded();
        let thread = signals.watch(move |name| tell.send(name).unwrap()).unwrap();
        (thread, told)
    }

    #[test]
    fn the_handler_shuts_the_gate_itself_and_nothing_before_the_watch_is_lost() {
        let gate = Arc::new(AtomicBool::new(false));
        let signals = StopSignals::wire(&gate, &[(SignalName::Term, SIGUSR1), (SignalName::Int, SIGUSR2)]).unwrap();
        low_level::raise(SIGUSR2).unwrap();
        assert!(gate.load(Ordering::SeqCst), "no thread of ours has run yet");
        let (thread, told) = watched(signals);
        assert_eq!(told.recv_timeout(PATIENCE), Ok(SignalName::Int));
        let deliveries = thread.deliveries();
        for _ in 0..100 {
            low_level::raise(SIGUSR1).unwrap();
        }
        assert!(thread.close(PATIENCE));
        assert_eq!(deliveries.of(SignalName::Int), 1);
        assert_eq!(deliveries.total(), 101, "each delivery is counted, merged or not");
        low_level::raise(SIGUSR1).unwrap(); // Nobody listens any more, and nothing breaks.
    }

    #[test]
    fn a_signal_that_nobody_watches_for_any_more_is_kept() {
        let gate = Arc::new(AtomicBool::new(false));
        let signals = StopSignals::wire(&gate, &[(SignalName::Hup, SIGWINCH)]).unwrap();
        let latch = signals.latch();
        let (thread, _told) = watched(signals);
        assert!(thread.close(PATIENCE));
        assert!(!latch.came.load(Ordering::SeqCst), "none has come");
        low_level::raise(SIGWINCH).unwrap();
        assert!(latch.last_look());
    }

    #[test]
    fn a_late_callback_is_reported_and_not_waited_for() {
        let (reads, writes) = UnixStream::pair().unwrap();
        reads.set_nonblocking(true).unwrap();
        let signals =
            StopSignals { pipes: vec![(SignalName::Hup, reads)], deliveries: Arc::default(), latch: Latch::default() };
        let (release, held) = unbounded::<()>();
        let (tell, told) = unbounded();
        let thread = signals
            .watch(move |name| {
                tell.send(name).unwrap();
                let _ = held.recv();
            })
            .unwrap();
        io::Write::write_all(&mut &writes, b"X").unwrap();
        assert_eq!(told.recv_timeout(PATIENCE), Ok(SignalName::Hup));
        assert!(!thread.close(Duration::from_millis(20)));
        drop(release);
    }
}
