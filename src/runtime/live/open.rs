//! Brings a real venue up: codec, addresses, workers, streams. In PAPER only its public data, for a paper exchange.

use std::time::Duration;

use super::links::Link;
use super::streams::{self, Socket, StreamThread, Towards};
use super::transport::{LiveTransport, Shared};
use super::wire::{NetWire, Ways, dial};
use crate::domain::event::Stream;
use crate::domain::ids::{Symbol, VenueId};
use crate::domain::instrument::VenueTraits;
use crate::domain::request::{Answered, Call, Request, RequestId};
use crate::domain::secret::ApiKey;
use crate::domain::settings::VenueSettings;
use crate::domain::time::Boot;
use crate::net::address::Address;
use crate::net::resolver::{Resolver, ResolverThread};
use crate::net::roots::Roots;
use crate::runtime::channels::EventSender;
use crate::runtime::clock::Clock;
use crate::runtime::gate::Gate;
use crate::runtime::workers::{LANES_FAR, Transport, Workers};
use crate::venues::{self, Account, Opening};

/// Names are looked up anew this often.
const NAMES_EVERY: Duration = Duration::from_secs(60);
/// How long a probe waits for its venue's name.
const NAME_PATIENCE: Duration = Duration::from_secs(5);

/// Why a venue cannot even be tried.
#[derive(Debug, thiserror::Error)]
#[error("venue {venue}: {}", .reasons.join("; "))]
pub struct CannotReach {
    venue: String,
    reasons: Vec<String>,
}

/// A real venue whose threads are not started yet.
pub struct LiveVenue {
    /// What it promises.
    pub traits: VenueTraits,
    venue: VenueId,
    name: String,
    account: Account,
    shared: Shared,
    ways: Ways,
    resolver: ResolverThread,
}

impl LiveVenue {
    /// Makes the codec ready and starts looking its names up. Nothing is sent.
    pub fn open(
        venue: VenueId,
        settings: &VenueSettings,
        key: Option<ApiKey>,
        also: &[Symbol],
    ) -> Result<LiveVenue, CannotReach> {
        let cannot = |reasons| CannotReach { venue: settings.name.clone(), reasons };
        let mut account = venues::open(&Opening { venue, settings, key, also }).map_err(cannot)?;
        if !settings.exclusive_account {
            // A cancel-all would end the orders of others.
            account.traits.cancel_all_scopes.clear();
        }
        let rest = Address::parse(&account.rest_url).map_err(|bad| cannot(vec![bad.to_string()]))?;
        let mut addresses = vec![rest.clone()];
        for (_, _, codec) in &account.streams {
            addresses.push(Address::parse(&codec.url()).map_err(|bad| cannot(vec![bad.to_string()]))?);
        }
        let (resolver, thread) = Resolver::start(&addresses, NAMES_EVERY)
            .map_err(|error| cannot(vec![format!("no thread to look names up: {error}")]))?;
        let ways = Ways { rest, resolver, roots: Roots::public() };
        let traits = account.traits.clone();
        let shared = Shared::new(venue, account.codec.clone(), traits.request_timeout, traits.billing.clone());
        Ok(LiveVenue { traits, venue, name: settings.name.clone(), account, shared, ways, resolver: thread })
    }

    /// Asks this venue something, here and now.
    pub fn probe(&self) -> Result<Probe, String> {
        // A name that is not known yet is a reason the first answer will tell.
        let _ = self.ways.resolver.wait_for(&self.ways.rest, NAME_PATIENCE);
        let wire = Box::new(NetWire::new(&self.ways)?);
        Ok(Probe { venue: self.venue, way: LiveTransport::new(self.shared.clone(), wire, Gate::default(), None) })
    }

    /// Starts workers for its requests.
    pub fn start_workers(&self, gate: &Gate, events: &EventSender) -> Result<Workers, String> {
        Workers::start(self.venue, (&self.name, &LANES_FAR), gate, events, |_| {
            let wire = Box::new(NetWire::new(&self.ways)?);
            let way = LiveTransport::new(self.shared.clone(), wire, gate.clone(), Some(events.clone()));
            Ok(Box::new(way) as Box<dyn Transport>)
        })
    }

    /// Starts a thread for each of its sockets. The private ones only where there is a key.
    pub fn start_streams(
        self,
        events: &EventSender,
        towards: &Towards,
    ) -> Result<(Vec<StreamThread>, ResolverThread), String> {
        let count = |stream| self.account.streams.iter().filter(|(of, ..)| *of == stream).count();
        let links = [Stream::Public, Stream::Private]
            .map(|stream| (Link::new(self.venue, stream, count(stream), events.clone()), stream));
        let mut numbers = [0, 0];
        let mut threads = Vec::new();
        for (stream, short_name, codec) in self.account.streams {
            let place = usize::from(stream == Stream::Private);
            let socket = Socket {
                codec,
                dial: dial(&self.ways),
                wire: Box::new(NetWire::new(&self.ways)?),
                shared: self.shared.clone(),
                link: links[place].0.clone(),
                number: numbers[place],
                events: events.clone(),
                towards: towards.clone(),
            };
            numbers[place] += 1;
            let thread = streams::start(format!("{}.{short_name}", self.name), stream, socket)
                .map_err(|error| format!("a stream of {} cannot start: {error}", self.name))?;
            threads.push(thread);
        }
        Ok((threads, self.resolver))
    }

    /// Lets go without having started anything.
    pub fn close(self) {
        // It ends by itself within a moment; nobody waits for it.
        let _ = self.resolver.close();
    }
}

/// Asks a venue one thing after the other, outside of any trading: for checks beforehand.
pub struct Probe {
    venue: VenueId,
    way: LiveTransport,
}

impl Probe {
    /// One call, one answer, within the venue's request time-out for each of its requests. Never for creates.
    pub fn call(&mut self, call: Call) -> Answered {
        if call.raises_exposure() {
            return Answered::NotSent("a probe places no orders".into());
        }
        self.way.call(&Request { id: RequestId(0), venue: self.venue, call, not_after: Boot::NEVER })
    }

    /// How far the venue's clock is ahead of ours, in milliseconds, as far as answers have told.
    pub fn clock_offset_ms(&self) -> i64 {
        self.way.clock_offset_ms()
    }

    /// A call and how long it took.
    pub fn timed(&mut self, call: Call) -> (Answered, Duration) {
        let began = Clock.boot();
        let answered = self.call(call);
        (answered, Clock.boot().since(began))
    }
}
