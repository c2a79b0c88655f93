//! Places for connections: a limit in all, and a limit for one address.
//!
//! A connection takes a place together with its [`HttpConnection`], and dropping it frees the place. If there is no
//! free place, either the new connection is refused, or the connection that has waited longest for its
//! client is closed and its place is free at once. [`Evict`] says which connections may be closed.

use crate::admission::share_of;
use crate::io::http::connection::HttpConnection;
use hashbrown::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Places of one kind.
#[derive(Debug)]
pub struct Places {
    inner: Mutex<Inner>,
}

/// A connection's place.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    id: u64,
}

/// Which connections may be closed to make room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Evict {
    /// No connection.
    Nobody,
    /// If all places are taken, a connection that has read all its answers and sends no request.
    Idle,
    /// The connection that has waited longest; first one of the same address, if its limit is reached.
    Anybody,
}

/// There is no place.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Full {
    /// All are taken.
    #[error("this server has reached its limit of {0} HTTP connections; try again later")]
    All(usize),
    /// The address has its share.
    #[error("your address has reached its limit of {0} HTTP connections; try again later")]
    Share(usize),
}

#[derive(Debug, Default)]
struct Inner {
    all_max: usize,
    share_max: usize,
    held: HashMap<u64, (IpAddr, Arc<HttpConnection>)>,
    shares: HashMap<IpAddr, usize>,
    next: u64,
}

// === impl Places ===

impl Places {
    /// So many in all, and for one address.
    pub fn new(all_max: usize, share_max: usize) -> Arc<Self> {
        let inner = Inner {
            all_max,
            share_max,
            ..Inner::default()
        };
        Arc::new(Self {
            inner: Mutex::new(inner),
        })
    }

    /// Changes how many there are. Who has a place keeps it.
    pub fn set_caps(&self, all_max: usize, share_max: usize) {
        let mut inner = self.lock();
        inner.all_max = all_max;
        inner.share_max = share_max;
    }

    /// Takes a place for a connection from this address.
    ///
    /// # Errors
    /// If there is none, and no connection may be closed.
    pub fn take(
        self: &Arc<Self>,
        address: IpAddr,
        connection: &Arc<HttpConnection>,
        evict: Evict,
    ) -> Result<Place, Full> {
        let share = share_of(address);
        let mut inner = self.lock();
        if inner
            .shares
            .get(&share)
            .is_some_and(|held| *held >= inner.share_max)
        {
            let cut = evict == Evict::Anybody
                && inner.evict(|of, connection| (of == share).then(|| connection.since()));
            if !cut {
                return Err(Full::Share(inner.share_max));
            }
        }
        if inner.held.len() >= inner.all_max {
            let cut = match evict {
                Evict::Nobody => false,
                Evict::Idle => inner.evict(|_, connection| {
                    connection
                        .idle_since()
                        .filter(|since| since.elapsed() >= IDLE_MIN)
                }),
                Evict::Anybody => inner.evict(|_, connection| Some(connection.since())),
            };
            if !cut {
                return Err(Full::All(inner.all_max));
            }
        }
        let id = inner.next;
        inner.next += 1;
        inner.held.insert(id, (share, Arc::clone(connection)));
        *inner.shares.entry(share).or_insert(0) += 1;
        Ok(Place {
            places: Arc::clone(self),
            id,
        })
    }

    /// Closes the connection that has waited longest, if there is one, to free a file descriptor.
    pub fn evict_one(&self) -> bool {
        self.lock().evict(|_, connection| Some(connection.since()))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Inner ===

impl Inner {
    /// Cuts the connection for which `waiting_since` says the earliest time; a walk over all places.
    fn evict(
        &mut self,
        waiting_since: impl Fn(IpAddr, &HttpConnection) -> Option<Instant>,
    ) -> bool {
        let waiting = |(id, (share, connection)): (&u64, &(IpAddr, Arc<HttpConnection>))| {
            Some((waiting_since(*share, connection)?, *id))
        };
        let Some((_, id)) = self.held.iter().filter_map(waiting).min() else {
            return false;
        };
        if let Some(connection) = self.give_back(id) {
            connection.cut();
        }
        true
    }

    fn give_back(&mut self, id: u64) -> Option<Arc<HttpConnection>> {
        let (share, connection) = self.held.remove(&id)?;
        if let Some(held) = self.shares.get_mut(&share) {
            *held -= 1;
            if *held == 0 {
                self.shares.remove(&share);
            }
        }
        Some(connection)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Nothing is there any more if he was evicted.
        self.places.lock().give_back(self.id);
    }
}

/// A connection that has been idle for less is not closed, because its next request may be on its way.
const IDLE_MIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 1));
    const TWO: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));

    #[test]
    fn one_address_has_its_share_and_all_have_a_limit() {
        let places = Places::new(3, 2);
        let take = |address| places.take(address, &HttpConnection::new(), Evict::Nobody);
        let first = take(ONE).unwrap();
        let _second = take(ONE).unwrap();
        assert_eq!(take(ONE).unwrap_err(), Full::Share(2));
        let _third = take(TWO).unwrap();
        assert_eq!(take(TWO).unwrap_err(), Full::All(3));
        drop(first);
        let _again = take(ONE).unwrap();
    }

    #[test]
    fn who_waited_longest_makes_room_within_the_share_first() {
        let places = Places::new(3, 2);
        let connections = [(); 5].map(|()| HttpConnection::new());
        let take = |address, connection: usize| {
            places.take(address, &connections[connection], Evict::Anybody)
        };
        let other = take(TWO, 0).unwrap();
        let first = take(ONE, 1).unwrap();
        let _second = take(ONE, 2).unwrap();
        let _third = take(ONE, 3).unwrap();
        assert!(connections[1].is_cut() && !connections[0].is_cut() && !connections[2].is_cut());
        // Giving back what was taken away changes nothing.
        drop(first);
        let _fourth = take(TWO, 4).unwrap();
        assert!(connections[0].is_cut() && !connections[2].is_cut());
        drop(other);
        assert_eq!(places.lock().held.len(), 3);
        assert_eq!(places.lock().shares.values().sum::<usize>(), 3);
    }

    #[test]
    fn who_is_busy_is_not_idle() {
        let places = Places::new(1, 1);
        let connection = HttpConnection::new();
        let _place = places.take(ONE, &connection, Evict::Idle).unwrap();
        connection.request();
        connection.made();
        assert_eq!(
            places
                .take(TWO, &HttpConnection::new(), Evict::Idle)
                .unwrap_err(),
            Full::All(1)
        );
        assert!(places.evict_one() && !places.evict_one());
        assert!(connection.is_cut());
    }
}
