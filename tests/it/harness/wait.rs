//! Waiting, always for something and never for ever. The one place of the tests that reads a clock and sleeps.

#![allow(clippy::disallowed_methods, reason = "here the tests read their clock and wait between two looks")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// Looks until there is something to see, or says what was waited for.
pub(crate) fn until<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T, String> {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return Ok(seen);
        }
        if began.elapsed() >= limit {
            return Err(format!("waited {} s in vain for {what}", limit.as_secs()));
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

/// Lets time pass until a drawn moment. Only for choosing *when* something is done: what is then asserted must hold
/// whatever the moment.
pub(crate) fn let_pass(time: Duration) {
    std::thread::sleep(time);
}

/// The wall clock, in microseconds since 1970.
pub(crate) fn wall_us() -> i64 {
    // The clock of a machine that builds this stands between 1970 and the year 292277.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    i64::try_from(since.as_micros()).expect("a clock before the year 292277")
}

/// How long something took.
pub(crate) struct Watch(Instant);

impl Watch {
    pub(crate) fn start() -> Watch {
        Watch(Instant::now())
    }

    pub(crate) fn read(&self) -> Duration {
        self.0.elapsed()
    }
}
