//! A generator's addresses: asked for off the data path, the last good answer kept.
//!
//! The system's resolver (`getaddrinfo`, on tokio's threads for blocking work) tells no time to live, so that a fixed
//! interval is all there is. Looked at when a connection is dialled, never per request but for one relaxed load.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// How many addresses of one name are kept.
const ADDRESSES_MAX: usize = 8;

/// A lookup that takes longer than this has failed: `getaddrinfo` itself knows no deadline, and while one is under
/// way no other starts.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

type Lookup = dyn Fn() -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> + Send + Sync;

/// The addresses of one name, shared by all clones.
#[derive(Clone)]
pub(super) struct Resolver {
    shared: Arc<Shared>,
}

struct Shared {
    /// `None` for an address that needs no looking up.
    lookup: Option<Box<Lookup>>,
    state: Mutex<State>,
    /// Counts the changes of the set of addresses.
    generation: AtomicU32,
    /// Told when a lookup has ended.
    ended: Notify,
}

struct State {
    addresses: Option<Arc<[SocketAddr]>>,
    /// Whether a lookup is under way.
    asking: bool,
    /// Lookups that failed.
    failures: u64,
}

/// The name has no address, and never had one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unresolved;

impl Resolver {
    pub(super) fn of_name(name: &str, port: u16) -> Self {
        let name: Arc<str> = name.into();
        Self::with_lookup(move || {
            let name = Arc::clone(&name);
            async move { Ok(tokio::net::lookup_host((&*name, port)).await?.collect()) }
        })
    }

    pub(super) fn of_address(address: SocketAddr) -> Self {
        Self::new(None, Some(Arc::from([address])))
    }

    pub(super) fn with_lookup<F>(lookup: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        Self::new(Some(Box::new(move || Box::pin(lookup()))), None)
    }

    fn new(lookup: Option<Box<Lookup>>, addresses: Option<Arc<[SocketAddr]>>) -> Self {
        let state = Mutex::new(State { addresses, asking: false, failures: 0 });
        Self {
            shared: Arc::new(Shared { lookup, state, generation: AtomicU32::new(0), ended: Notify::new() }),
        }
    }

    /// Changes when the addresses do.
    pub(super) fn generation(&self) -> u32 {
        self.shared.generation.load(Ordering::Relaxed)
    }

    /// Whether `address` is still one of the name's.
    pub(super) fn holds(&self, address: SocketAddr) -> bool {
        self.shared.state().addresses.as_ref().is_some_and(|addresses| addresses.contains(&address))
    }

    /// Starts a lookup unless one is under way. Needs a tokio runtime; does not wait.
    pub(super) fn refresh(&self) {
        self.start(&mut self.shared.state());
    }

    /// The last good answer; waits only while there never was one.
    pub(super) async fn addresses(&self) -> Result<Arc<[SocketAddr]>, Unresolved> {
        let failures_before = self.shared.state().failures;
        loop {
            let mut ended = std::pin::pin!(self.shared.ended.notified());
            // Before looking, so that a lookup that ends in between is not missed.
            ended.as_mut().enable();
            {
                let mut state = self.shared.state();
                if let Some(addresses) = &state.addresses {
                    return Ok(Arc::clone(addresses));
                }
                if state.failures != failures_before {
                    return Err(Unresolved);
                }
                self.start(&mut state);
            }
            ended.await;
        }
    }

    fn start(&self, state: &mut State) {
        if self.shared.lookup.is_none() || std::mem::replace(&mut state.asking, true) {
            return;
        }
        let asking = Asking(Arc::clone(&self.shared));
        tokio::spawn(async move {
            if let Some(lookup) = &asking.0.lookup
                && let Ok(Ok(found)) = tokio::time::timeout(LOOKUP_TIMEOUT, lookup()).await
            {
                asking.0.take(found);
            }
        });
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that could panic half-way is done under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an answer; an empty one is none.
    fn take(&self, mut found: Vec<SocketAddr>) {
        found.truncate(ADDRESSES_MAX);
        if found.is_empty() {
            return;
        }
        let mut state = self.state();
        let same = state.addresses.as_ref().is_some_and(|known| {
            known.len() == found.len() && known.iter().all(|address| found.contains(address))
        });
        if !same {
            self.generation.fetch_add(1, Ordering::Relaxed);
        }
        // The order counts even where the set is the same: it is the system's preference.
        state.addresses = Some(found.into());
    }
}

/// A lookup under way. Ends it when dropped, so that a runtime that shuts down leaves no waiter behind.
struct Asking(Arc<Shared>);

impl Drop for Asking {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.asking = false;
        // Counted for a good answer too: a waiter looks at the addresses first.
        state.failures += 1;
        drop(state);
        self.0.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, last], 80))
    }

    /// Gives the answers in turn, and counts the questions.
    fn scripted(answers: Vec<Option<Vec<SocketAddr>>>) -> (Resolver, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let resolver = Resolver::with_lookup(move || {
            let answer = answers.get(count.fetch_add(1, Ordering::Relaxed)).cloned().flatten();
            async move {
                tokio::task::yield_now().await;
                answer.ok_or_else(|| io::ErrorKind::NotFound.into())
            }
        });
        (resolver, asked)
    }

    /// Starts a lookup and waits for its end.
    async fn refreshed(resolver: &Resolver) {
        let ended = resolver.shared.ended.notified();
        resolver.refresh();
        ended.await;
    }

    #[tokio::test]
    async fn many_waiters_share_one_lookup() {
        let (resolver, asked) = scripted(vec![Some(vec![address(1)])]);
        let (one, two) = tokio::join!(resolver.addresses(), resolver.addresses());
        assert_eq!(one.unwrap()[..], [address(1)]);
        assert_eq!(two.unwrap()[..], [address(1)]);
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn without_any_answer_each_waiter_is_told_and_the_next_asks_again() {
        let (resolver, asked) = scripted(vec![None, Some(vec![]), Some(vec![address(1)])]);
        assert_eq!(resolver.addresses().await, Err(Unresolved));
        assert_eq!(resolver.addresses().await, Err(Unresolved), "an empty answer is none");
        assert!(resolver.addresses().await.is_ok());
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn the_last_good_answer_outlives_a_failure() {
        let (resolver, _) = scripted(vec![Some(vec![address(1)]), None, Some(vec![address(2)])]);
        assert!(resolver.addresses().await.is_ok());
        let before = resolver.generation();
        refreshed(&resolver).await;
        assert_eq!(resolver.addresses().await.unwrap()[..], [address(1)]);
        assert_eq!(resolver.generation(), before);
        refreshed(&resolver).await;
        assert_eq!(resolver.addresses().await.unwrap()[..], [address(2)]);
        assert_ne!(resolver.generation(), before);
        assert!(resolver.holds(address(2)) && !resolver.holds(address(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lookup_that_hangs_fails_at_last() {
        let resolver = Resolver::with_lookup(std::future::pending);
        assert_eq!(resolver.addresses().await, Err(Unresolved));
    }
}
