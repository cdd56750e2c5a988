//! Sockets that come back: a thread for each stream's socket opens it, feeds its codec, and opens it again when it
//! breaks, after a wait that grows with each failure and is never the same twice.
//!
//! Always holds: `Down` is told before a broken socket is opened again, and `Up` only when the codec says that it
//! delivers; order news waits for room and is never dropped; pings go out only when the loop asks for them.
//! Never does: hold the loop up; decide that a market is silent (the codec does).

use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use ring::rand::{SecureRandom, SystemRandom};

use super::links::Link;
use super::transport::{Shared, Wire};
use crate::domain::event::{Event, MarketNews, Quote, Stream};
use crate::domain::time::Boot;
use crate::runtime::channels::{EventSender, QuoteBoard};
use crate::runtime::clock::Clock;
use crate::venues::{StreamCodec, StreamOut};

/// The codec looks at the clock this often.
const TICK_EVERY: Duration = Duration::from_millis(200);
/// First wait after a failure; doubles with each further one.
const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// A stream that delivered this long and then breaks is opened again almost at once: sockets drop in normal life.
const GOOD_LIFE: Duration = Duration::from_secs(10);
/// Whole time of a request that must be made before a socket opens.
const TICKET_TIMEOUT: Duration = Duration::from_secs(5);
/// For the close frames.
const CLOSE_PATIENCE: Duration = Duration::from_millis(500);

/// An open socket.
pub(super) trait Session: Send {
    /// The next text frame, if one comes within a slice of about 50 ms.
    fn read(&mut self) -> Result<Option<String>, String>;
    /// Sends a text frame.
    fn send(&mut self, text: &str) -> Result<(), String>;
    /// Says goodbye and closes.
    fn close(self: Box<Self>, within: Duration);
}

/// Opens a socket at an address, with a deadline of its own.
pub(super) type Dial = Box<dyn FnMut(&str) -> Result<Box<dyn Session>, String> + Send>;

/// Where market data goes.
#[derive(Clone, Debug)]
pub enum Towards {
    /// To the loop.
    Loop(QuoteBoard),
    /// Prices to a paper exchange, which quotes them to the loop; the rest to the loop.
    Paper(Feed, QuoteBoard),
}

/// Live prices on their way to a paper exchange: the newest of each symbol.
#[derive(Clone, Debug)]
pub struct Feed {
    newest: QuoteBoard,
}

impl Feed {
    /// A feed and the end that its exchange reads.
    pub fn new() -> (Feed, FeedEnd) {
        let (newest, end) = crate::runtime::channels::quote_board();
        (Feed { newest }, FeedEnd(end))
    }
}

/// The exchange's end of a feed.
#[derive(Debug)]
pub struct FeedEnd(crate::runtime::channels::QuoteEnd);

impl FeedEnd {
    /// Becomes ready when there is something to take.
    pub fn woken(&self) -> &Receiver<()> {
        self.0.woken()
    }

    /// The newest prices since the last call.
    pub fn take(&self) -> Vec<Quote> {
        self.0.take_quotes()
    }
}

impl Towards {
    fn quote(&self, quote: Quote) {
        match self {
            Towards::Loop(board) => board.put(quote),
            Towards::Paper(feed, _) => feed.newest.put(quote),
        }
    }

    fn market(&self, news: MarketNews) {
        match self {
            Towards::Loop(board) | Towards::Paper(_, board) => board.put_market(news),
        }
    }
}

/// A thread that keeps a socket open.
pub struct StreamThread {
    stream: Stream,
    pings: Sender<()>,
    thread: JoinHandle<()>,
}

impl StreamThread {
    /// Asks for a ping. A thread that is busy opening its socket has none to send.
    pub fn ping(&self, stream: Stream) {
        if stream == self.stream {
            let _ = self.pings.try_send(());
        }
    }

    /// Tells the thread to say goodbye and end.
    pub fn close(self) -> JoinHandle<()> {
        self.thread
    }
}

/// What a stream's thread works with.
pub(super) struct Socket {
    /// Its words.
    pub codec: Box<dyn StreamCodec>,
    /// Opens it.
    pub dial: Dial,
    /// For requests that must come first.
    pub wire: Box<dyn Wire>,
    /// Signing.
    pub shared: Shared,
    /// Which stream, and which of its sockets.
    pub link: Link,
    /// Its place among the stream's sockets.
    pub number: usize,
    /// Order news.
    pub events: EventSender,
    /// Market data.
    pub towards: Towards,
}

/// Starts the thread of a socket.
pub(super) fn start(name: String, stream: Stream, socket: Socket) -> std::io::Result<StreamThread> {
    let (pings, asked) = bounded(1);
    let thread = std::thread::Builder::new().name(name.clone()).spawn(move || Runner { name, socket, asked }.run())?;
    Ok(StreamThread { stream, pings, thread })
}

/// Why a socket's life ended.
enum End {
    Broken { why: String, lived: Duration },
    Closed,
}

struct Runner {
    name: String,
    socket: Socket,
    asked: Receiver<()>,
}

impl Runner {
    fn run(mut self) {
        let mut n_failures = 0;
        loop {
            let (why, lived) = match self.live() {
                End::Closed => return,
                End::Broken { why, lived } => (why, lived),
            };
            self.socket.link.down(self.socket.number, &why);
            n_failures = if lived >= GOOD_LIFE { 0 } else { n_failures + 1 };
            let wait = backoff(n_failures, chance());
            log::debug!("{}: {why}; opened again in {} ms", self.name, wait.as_millis());
            if self.wait_is_cut(wait) {
                return;
            }
        }
    }

    /// Waits; true when the thread shall end.
    fn wait_is_cut(&self, wait: Duration) -> bool {
        let until = Clock.boot().after(wait);
        loop {
            match self.asked.recv_timeout(Clock.boot().until(until)) {
                // No socket, no ping.
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => return false,
                Err(RecvTimeoutError::Disconnected) => return true,
            }
        }
    }

    /// One socket from its opening to its end.
    fn live(&mut self) -> End {
        let broken = |why: String| End::Broken { why, lived: Duration::ZERO };
        let signing = self.socket.shared.signing(TICKET_TIMEOUT);
        if let Some(http) = self.socket.codec.before_open(&signing) {
            let outcome = self.socket.wire.send(&http, TICKET_TIMEOUT, &|| true);
            if let Err(why) = self.socket.codec.before_open_done(&outcome) {
                return broken(why);
            }
        }
        let mut session = match (self.socket.dial)(&self.socket.codec.url()) {
            Ok(session) => session,
            Err(why) => return broken(why),
        };
        let mut out = Vec::new();
        let signing = self.socket.shared.signing(TICKET_TIMEOUT);
        self.socket.codec.opened(Clock.boot(), &signing, &mut out);
        let mut up_since = None;
        let mut next_tick = Clock.boot();
        let why = loop {
            if let Err(why) = self.carry_out(&mut out, session.as_mut(), &mut up_since) {
                break why;
            }
            match self.asked.try_recv() {
                Ok(()) => self.socket.codec.ping(Clock.boot(), &mut out),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => {
                    session.close(CLOSE_PATIENCE);
                    return End::Closed;
                }
            }
            match session.read() {
                Ok(Some(text)) => self.socket.codec.frame(Clock.boot(), &text, &mut out),
                Ok(None) => {}
                Err(why) => break why,
            }
            let now = Clock.boot();
            if now >= next_tick {
                next_tick = now.after(TICK_EVERY);
                self.socket.codec.tick(now, &mut out);
            }
        };
        // News first, then the goodbye: what the codec said before it broke still counts.
        session.close(CLOSE_PATIENCE);
        let lived = up_since.map_or(Duration::ZERO, |since| Clock.boot().since(since));
        End::Broken { why, lived }
    }

    fn carry_out(
        &mut self,
        out: &mut Vec<StreamOut>,
        session: &mut dyn Session,
        up_since: &mut Option<Boot>,
    ) -> Result<(), String> {
        let venue = self.socket.shared.venue;
        for said in out.drain(..) {
            match said {
                StreamOut::Send(text) => session.send(&text)?,
                StreamOut::Up => {
                    up_since.get_or_insert(Clock.boot());
                    self.socket.link.up(self.socket.number);
                }
                StreamOut::Broken(why) => return Err(why),
                StreamOut::Order(row) => {
                    self.socket.events.send(Event::Order(venue, row));
                }
                StreamOut::Fill(row) => {
                    self.socket.events.send(Event::Fill(venue, row));
                }
                StreamOut::Quote(quote) => self.socket.towards.quote(quote),
                StreamOut::Market(news) => self.socket.towards.market(*news),
                StreamOut::Remark(text) => log::info!("{}: {text}", self.name),
            }
        }
        Ok(())
    }
}

/// The wait before a socket is opened again: half to one and a half of the step, so that many do not come together.
fn backoff(n_failures: u32, chance: u8) -> Duration {
    let step = BACKOFF_MIN.saturating_mul(1 << n_failures.saturating_sub(1).min(10)).min(BACKOFF_MAX);
    let step = if n_failures == 0 { BACKOFF_MIN / 2 } else { step };
    step / 2 + step * u32::from(chance) / 255
}

fn chance() -> u8 {
    let mut byte = [0];
    match SystemRandom::new().fill(&mut byte) {
        Ok(()) => byte[0],
        Err(_) => Clock.boot().nanos() as u8,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;

    use super::super::testing::{ScriptedCodec, ScriptedWire};
    use super::*;
    use crate::domain::event::LinkState;
    use crate::domain::ids::VenueId;
    use crate::domain::rates::Billing;
    use crate::runtime::channels::{Inbox, inbox};
    use crate::venues::Signing;

    /// Says what it is told: `up`, `broken`, or echoes.
    struct Parrot;

    impl StreamCodec for Parrot {
        fn url(&self) -> String {
            "ws://127.0.0.1:1/".into()
        }
        fn opened(&mut self, _: Boot, _: &Signing, out: &mut Vec<StreamOut>) {
            out.push(StreamOut::Send("hello".into()));
        }
        fn frame(&mut self, _: Boot, text: &str, out: &mut Vec<StreamOut>) {
            out.push(match text {
                "up" => StreamOut::Up,
                "broken" => StreamOut::Broken("so it was said".into()),
                other => StreamOut::Send(format!("echo {other}")),
            });
        }
        fn tick(&mut self, _: Boot, _: &mut Vec<StreamOut>) {}
        fn ping(&mut self, _: Boot, out: &mut Vec<StreamOut>) {
            out.push(StreamOut::Send("ping".into()));
        }
    }

    struct Tape {
        frames: VecDeque<&'static str>,
        said: Sender<String>,
    }

    impl Session for Tape {
        fn read(&mut self) -> Result<Option<String>, String> {
            match self.frames.pop_front() {
                Some("gone") => Err("the socket is gone".into()),
                frame => Ok(frame.map(str::to_owned)),
            }
        }
        fn send(&mut self, text: &str) -> Result<(), String> {
            self.said.send(text.to_owned()).map_err(|error| error.to_string())
        }
        fn close(self: Box<Self>, _: Duration) {
            let _ = self.said.send("goodbye".into());
        }
    }

    fn begin(mut tapes: VecDeque<Vec<&'static str>>) -> (StreamThread, Inbox, Receiver<String>) {
        let (inbox, events, quotes) = inbox();
        let (said, heard) = bounded(1_000);
        let dial: Dial = Box::new(move |_| match tapes.pop_front() {
            Some(frames) => Ok(Box::new(Tape { frames: frames.into(), said: said.clone() })),
            None => Err("nobody there".into()),
        });
        let codec = Arc::new(ScriptedCodec::new(Vec::new()));
        let shared = Shared::new(VenueId(0), codec, Duration::from_secs(1), Billing::default());
        let link = Link::new(VenueId(0), Stream::Private, 1, events.clone());
        let socket = Socket {
            codec: Box::new(Parrot),
            dial,
            wire: Box::new(ScriptedWire::new(Vec::new())),
            shared,
            link,
            number: 0,
            events,
            towards: Towards::Loop(quotes),
        };
        (start("test.private".into(), Stream::Private, socket).unwrap(), inbox, heard)
    }

    fn links(inbox: &mut Inbox, count: usize) -> Vec<LinkState> {
        let mut states = Vec::new();
        for _ in 0..100 {
            let batch = inbox.next_batch(Duration::from_millis(200)).into_iter();
            states.extend(batch.filter_map(|event| match event {
                Event::Link(_, _, state) => Some(state),
                _ => None,
            }));
            if states.len() >= count {
                return states;
            }
        }
        panic!("not {count} news of the link: {states:?}");
    }

    #[test]
    fn a_broken_socket_is_told_and_comes_back() {
        let tapes = [vec!["up", "one", "gone"], vec!["up", "broken"], vec!["up"]].into_iter().collect();
        let (thread, mut inbox, heard) = begin(tapes);
        let told = links(&mut inbox, 5);
        let down = |why: &str| LinkState::Down(why.to_owned());
        assert_eq!(
            told,
            [LinkState::Up, down("the socket is gone"), LinkState::Up, down("so it was said"), LinkState::Up]
        );
        let all: Vec<_> = heard.try_iter().collect();
        assert_eq!(all, ["hello", "echo one", "goodbye", "hello", "goodbye", "hello"]);
        drop(thread);
    }

    #[test]
    fn pings_go_out_only_when_asked_and_the_end_says_goodbye() {
        let (thread, mut inbox, heard) = begin([vec!["up"]].into_iter().collect());
        assert_eq!(links(&mut inbox, 1), [LinkState::Up]);
        thread.ping(Stream::Public);
        thread.ping(Stream::Private);
        assert_eq!(heard.recv_timeout(Duration::from_secs(20)).unwrap(), "hello");
        assert_eq!(heard.recv_timeout(Duration::from_secs(20)).unwrap(), "ping");
        let thread = thread.close();
        assert_eq!(heard.recv_timeout(Duration::from_secs(20)).unwrap(), "goodbye");
        thread.join().unwrap();
    }

    #[test]
    fn a_socket_that_cannot_be_opened_is_told_once_and_the_thread_still_ends() {
        let (thread, mut inbox, _heard) = begin(VecDeque::new());
        assert_eq!(links(&mut inbox, 1), [LinkState::Down("nobody there".into())]);
        thread.close().join().unwrap();
    }

    #[test]
    fn waits_grow_differ_and_have_an_end() {
        assert!(backoff(0, 255) <= Duration::from_millis(375));
        assert_eq!(backoff(1, 0), Duration::from_millis(250));
        assert_eq!(backoff(1, 255), Duration::from_millis(750));
        assert_eq!(backoff(3, 0), Duration::from_millis(1_000));
        assert_eq!(backoff(40, 255), Duration::from_secs(45));
    }
}
