//! Names looked up ahead, by a thread of their own, so that no call ever waits for DNS.
//!
//! Always holds: a call reads a list in memory and waits for nothing; addresses are kept while look-ups fail; an address
//! that worked is kept even when DNS no longer names it (a wrong answer of DNS locks nobody out of a venue); addresses
//! that worked come first, those that failed last; IP addresses and `localhost` need no thread.
//! Never does: end by itself, or hold a lock while it looks up.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::address::Address;
use super::deadline::Deadline;

/// Addresses kept of one answer of DNS.
const ADDRESSES_MAX: usize = 8;
/// Addresses that worked, kept although DNS no longer names them.
const WORKED_MAX: usize = 4;
/// First wait after a failed look-up; doubles with each further one, up to the usual interval.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// Never more look-ups than this, however often calls ask for one.
const GAP_MIN: Duration = Duration::from_secs(1);

/// How a name is looked up: the system's way, or a test's.
pub type LookUp = Box<dyn FnMut(&str) -> io::Result<Vec<IpAddr>> + Send>;

#[derive(Debug, Default)]
struct Known {
    /// The newest answer of DNS.
    named: Vec<IpAddr>,
    /// The newest first.
    worked: Vec<IpAddr>,
    failed: Vec<IpAddr>,
    /// Why the newest look-up failed; nothing if it did not.
    trouble: Option<String>,
    n_look_ups: u64,
}

struct Inner {
    names: Mutex<BTreeMap<String, Known>>,
    changed: Condvar,
    wake: Sender<()>,
    is_over: AtomicBool,
}

/// Addresses of names. Cloned cheap.
#[derive(Clone)]
pub struct Resolver {
    inner: Arc<Inner>,
}

/// The thread that looks names up. Dropping it tells it to end and does not wait.
#[derive(Debug)]
pub struct ResolverThread {
    resolver: Resolver,
    thread: Option<JoinHandle<()>>,
}

impl Resolver {
    /// Begins to look up the names of these addresses, now and at every interval. No thread where none is a name.
    pub fn start(addresses: &[Address], refresh_every: Duration) -> io::Result<(Resolver, ResolverThread)> {
        Resolver::start_with(addresses, refresh_every, Box::new(system_look_up))
    }

    /// The same, with another way to look up.
    pub fn start_with(
        addresses: &[Address],
        refresh_every: Duration,
        mut look_up: LookUp,
    ) -> io::Result<(Resolver, ResolverThread)> {
        let names = addresses.iter().filter(|address| address.fixed().is_none());
        let names: BTreeMap<String, Known> =
            names.map(|address| (address.host().to_owned(), Known::default())).collect();
        let needs_thread = !names.is_empty();
        let (wake, woken) = bounded(1);
        let inner = Inner { names: Mutex::new(names), changed: Condvar::new(), wake, is_over: AtomicBool::new(false) };
        let resolver = Resolver { inner: Arc::new(inner) };
        let thread = if needs_thread {
            let resolver = resolver.clone();
            let work = move || resolver.keep_fresh(refresh_every, &mut look_up, &woken);
            Some(std::thread::Builder::new().name("resolver".into()).spawn(work)?)
        } else {
            None
        };
        Ok((resolver.clone(), ResolverThread { resolver, thread }))
    }

    /// Where to connect, the likeliest first. Waits for nothing.
    pub fn addresses(&self, address: &Address) -> Result<Vec<SocketAddr>, String> {
        let with_port = |ips: Vec<IpAddr>| ips.into_iter().map(|ip| SocketAddr::new(ip, address.port())).collect();
        if let Some(ips) = address.fixed() {
            return Ok(with_port(ips));
        }
        let host = address.host();
        let names = self.names();
        let Some(known) = names.get(host) else {
            return Err(format!("{host} is no name that was to be looked up"));
        };
        let ips = known.likeliest_first();
        if !ips.is_empty() {
            return Ok(with_port(ips));
        }
        Err(match &known.trouble {
            Some(trouble) => format!(
                "the name {host} cannot be looked up ({trouble}): check this machine's DNS and network, and the address in \
                 the configuration"
            ),
            None => format!("the name {host} is still being looked up"),
        })
    }

    /// Waits until a name has addresses, at most this long. Says why it has none.
    pub fn wait_for(&self, address: &Address, wait: Duration) -> Result<Vec<SocketAddr>, String> {
        let deadline = Deadline::after(wait);
        loop {
            let found = self.addresses(address);
            let Some(slice) = deadline.slice() else { return found };
            if found.is_ok() {
                return found;
            }
            let names = self.names();
            // Looked at again under the lock: what changed in between wakes nobody.
            if names.get(address.host()).is_some_and(|known| known.likeliest_first().is_empty()) {
                let _ = self.inner.changed.wait_timeout(names, slice);
            }
        }
    }

    /// How often a name has been looked up, and why the newest look-up failed if it did.
    pub fn state(&self, address: &Address) -> (u64, Option<String>) {
        let names = self.names();
        names.get(address.host()).map_or((0, None), |known| (known.n_look_ups, known.trouble.clone()))
    }

    /// A connection to it was made: it comes first from now on.
    pub fn worked(&self, address: &Address, ip: IpAddr) {
        if let Some(known) = self.names().get_mut(address.host()) {
            known.failed.retain(|other| *other != ip);
            known.worked.retain(|other| *other != ip);
            known.worked.insert(0, ip);
            known.worked.truncate(WORKED_MAX);
        }
    }

    /// No connection to it could be made: it comes last from now on, and DNS is asked again soon.
    pub fn failed(&self, address: &Address, ip: IpAddr) {
        if let Some(known) = self.names().get_mut(address.host()) {
            if !known.failed.contains(&ip) {
                known.failed.push(ip);
            }
            self.wake();
        }
    }

    fn names(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.inner.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        // Full: it is woken already.
        let _ = self.inner.wake.try_send(());
    }

    fn keep_fresh(&self, refresh_every: Duration, look_up: &mut LookUp, woken: &Receiver<()>) {
        let mut n_failures = 0;
        loop {
            let all_found = self.look_up_all(look_up);
            n_failures = if all_found { 0 } else { n_failures + 1 };
            let wait = if all_found { refresh_every } else { backoff(n_failures).min(refresh_every) };
            // A wake cuts the wait short, but not below the gap.
            let (next, gap) = (Deadline::after(wait), Deadline::after(GAP_MIN.min(wait)));
            let mut is_asked = false;
            while let Some(slice) = if is_asked { gap.slice() } else { next.slice() } {
                if self.inner.is_over.load(Ordering::SeqCst) {
                    return;
                }
                is_asked |= woken.recv_timeout(slice).is_ok();
            }
            if self.inner.is_over.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    /// One look-up of each name. Whether all were found.
    fn look_up_all(&self, look_up: &mut LookUp) -> bool {
        let hosts: Vec<String> = self.names().keys().cloned().collect();
        let mut all_found = true;
        for host in hosts {
            if self.inner.is_over.load(Ordering::SeqCst) {
                return all_found;
            }
            let answer = look_up(&host);
            if let Some(known) = self.names().get_mut(&host) {
                known.heard(answer);
                all_found &= known.trouble.is_none();
            }
            self.inner.changed.notify_all();
        }
        all_found
    }
}

impl ResolverThread {
    /// Tells the thread to end, and hands it out for joining. A look-up under way cannot be cut short.
    pub fn close(mut self) -> Option<JoinHandle<()>> {
        self.thread.take()
    }
}

impl Drop for ResolverThread {
    fn drop(&mut self) {
        self.resolver.inner.is_over.store(true, Ordering::SeqCst);
        self.resolver.wake();
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Resolver").field(&*self.names()).finish()
    }
}

impl Known {
    fn likeliest_first(&self) -> Vec<IpAddr> {
        let mut ips = self.worked.clone();
        // A fresh name before one that only used to work, unless the fresh one is known to be bad.
        ips.sort_by_key(|ip| !self.named.contains(ip));
        let still_named = ips.iter().filter(|ip| self.named.contains(ip)).count();
        let fresh = self.named.iter().filter(|ip| !self.worked.contains(ip)).copied();
        ips.splice(still_named..still_named, fresh);
        ips.sort_by_key(|ip| self.failed.contains(ip));
        ips
    }

    fn heard(&mut self, answer: io::Result<Vec<IpAddr>>) {
        self.n_look_ups += 1;
        match answer {
            Ok(ips) if !ips.is_empty() => {
                self.named.clear();
                for ip in ips {
                    if !self.named.contains(&ip) && self.named.len() < ADDRESSES_MAX {
                        self.named.push(ip);
                    }
                }
                let (named, worked) = (&self.named, &self.worked);
                self.failed.retain(|ip| named.contains(ip) || worked.contains(ip));
                self.trouble = None;
            }
            Ok(_) => self.trouble = Some("DNS knows no address of it".into()),
            Err(error) => self.trouble = Some(error.to_string()),
        }
    }
}

fn backoff(n_failures: u32) -> Duration {
    RETRY_MIN.saturating_mul(1 << n_failures.saturating_sub(1).min(10))
}

fn system_look_up(host: &str) -> io::Result<Vec<IpAddr>> {
    Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn lasts(found: Result<Vec<SocketAddr>, String>) -> Vec<u8> {
        let last = |address: SocketAddr| match address.ip() {
            IpAddr::V4(ip) => ip.octets()[3],
            IpAddr::V6(_) => 0,
        };
        found.unwrap().into_iter().map(last).collect()
    }

    /// A resolver of `a.test` whose answers come over a channel; each look-up waits for one.
    fn scripted(refresh_every: Duration) -> (Address, Resolver, ResolverThread, Sender<io::Result<Vec<IpAddr>>>) {
        let address = Address::parse("https://a.test:4").unwrap();
        let (answers, script) = bounded::<io::Result<Vec<IpAddr>>>(8);
        let look_up = Box::new(move |_: &str| script.recv().unwrap_or_else(|_| Err(io::Error::other("DNS is gone"))));
        let addresses = std::slice::from_ref(&address);
        let (resolver, thread) = Resolver::start_with(addresses, refresh_every, look_up).unwrap();
        (address, resolver, thread, answers)
    }

    fn wait_for_look_ups(resolver: &Resolver, address: &Address, n: u64) {
        let deadline = Deadline::after(LONG);
        while resolver.state(address).0 < n {
            assert!(!deadline.is_over(), "no {n} look-ups: {resolver:?}");
            let names = resolver.names();
            drop(resolver.inner.changed.wait_timeout(names, Duration::from_millis(10)).unwrap());
        }
    }

    #[test]
    fn addresses_and_localhost_need_no_thread() {
        let addresses = ["http://127.0.0.1:5", "http://[::1]:5", "http://localhost:5", "https://192.0.2.1"];
        let addresses = addresses.map(|text| Address::parse(text).unwrap());
        let look_up = Box::new(|_: &str| panic!("nothing to look up"));
        let (resolver, thread) = Resolver::start_with(&addresses, LONG, look_up).unwrap();
        let found: Vec<usize> = addresses.iter().map(|a| resolver.addresses(a).unwrap().len()).collect();
        assert_eq!(found, [1, 1, 2, 1]);
        assert!(thread.close().is_none());
    }

    #[test]
    fn a_call_does_not_wait_for_a_look_up_that_hangs() {
        let (address, resolver, thread, answers) = scripted(LONG);
        assert!(resolver.addresses(&address).unwrap_err().contains("still being looked up"));
        answers.send(Ok(vec![ip(1), ip(1), ip(2)])).unwrap();
        assert_eq!(lasts(resolver.wait_for(&address, LONG)), [1, 2]);
        assert_eq!(resolver.addresses(&address).unwrap()[0].port(), 4);
        thread.close().unwrap().join().unwrap();
    }

    #[test]
    fn addresses_outlive_dns() {
        let (address, resolver, thread, answers) = scripted(Duration::from_millis(1));
        answers.send(Ok(vec![ip(1)])).unwrap();
        resolver.wait_for(&address, LONG).unwrap();
        answers.send(Err(io::Error::other("no servers could be reached"))).unwrap();
        answers.send(Ok(vec![])).unwrap();
        wait_for_look_ups(&resolver, &address, 3);
        assert_eq!(lasts(resolver.addresses(&address)), [1]);
        assert!(resolver.state(&address).1.is_some());
        answers.send(Ok(vec![ip(2)])).unwrap();
        wait_for_look_ups(&resolver, &address, 4);
        assert_eq!(lasts(resolver.addresses(&address)), [2]);
        assert_eq!(resolver.state(&address).1, None);
        drop(answers);
        thread.close().unwrap().join().unwrap();
    }

    #[test]
    fn a_name_that_is_not_found_says_what_to_do() {
        let (address, resolver, _thread, answers) = scripted(LONG);
        answers.send(Err(io::Error::other("no such name"))).unwrap();
        wait_for_look_ups(&resolver, &address, 1);
        let why = resolver.wait_for(&address, Duration::ZERO).unwrap_err();
        assert!(why.contains("a.test") && why.contains("no such name") && why.contains("check"), "{why}");
        let stranger = Address::parse("https://b.test").unwrap();
        assert!(resolver.addresses(&stranger).is_err());
    }

    #[test]
    fn what_worked_comes_first_and_what_failed_last() {
        let mut known = Known::default();
        let order = |known: &Known| {
            let last = |ip: &IpAddr| if let IpAddr::V4(ip) = ip { ip.octets()[3] } else { 0 };
            known.likeliest_first().iter().map(last).collect::<Vec<_>>()
        };
        known.heard(Ok(vec![ip(1), ip(2), ip(3)]));
        assert_eq!(order(&known), [1, 2, 3]);
        known.worked.push(ip(2));
        assert_eq!(order(&known), [2, 1, 3]);
        known.failed.push(ip(1));
        assert_eq!(order(&known), [2, 3, 1]);
        // DNS now tells something else: the address that worked stays, behind the fresh ones.
        known.heard(Ok(vec![ip(9)]));
        assert_eq!(order(&known), [9, 2]);
        // The fresh one is wrong.
        known.failed.push(ip(9));
        assert_eq!(order(&known), [2, 9]);
        known.heard(Ok((0..200).map(ip).collect()));
        assert!(known.likeliest_first().len() <= ADDRESSES_MAX + WORKED_MAX);
    }

    #[test]
    fn a_failed_connection_asks_dns_again_before_its_time() {
        let (address, resolver, thread, answers) = scripted(Duration::from_secs(3_600));
        answers.send(Ok(vec![ip(1)])).unwrap();
        resolver.wait_for(&address, LONG).unwrap();
        answers.send(Ok(vec![ip(2)])).unwrap();
        resolver.failed(&address, ip(1));
        wait_for_look_ups(&resolver, &address, 2);
        assert_eq!(lasts(resolver.addresses(&address)), [2]);
        thread.close().unwrap().join().unwrap();
    }
}
