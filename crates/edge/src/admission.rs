//! Admission of connections: limits in all and per address.
//!
//! A permit is taken before the handshake's answer. Dropping the permit gives it back, when the
//! connection has ended. [`share_of`] decides what counts as one address.

use hashbrown::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts connections against their caps.
#[derive(Debug)]
pub struct Admission {
    counts: Mutex<Counts>,
}

/// A connection's right to exist.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    /// Where the connection comes from. In two parts, which are smaller than a `SocketAddr`: most of ten
    /// thousand connections are idle.
    address: IpAddr,
    port: u16,
}

/// Why a connection is not admitted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AdmissionError {
    /// The process has its limit.
    #[error("this server has reached its limit of {0} connections; try again later")]
    All(usize),
    /// The address has its limit.
    #[error("your address has reached its limit of {0} connections; close one first")]
    Address(usize),
}

#[derive(Debug, Default)]
struct Counts {
    all_max: usize,
    per_address_max: usize,
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// What an address shares its limits with: itself, or the /64 network that one customer has of IPv6.
pub fn share_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        v4 => v4,
    }
}

impl Admission {
    /// With these caps.
    pub fn new(all_max: usize, per_address_max: usize) -> Arc<Self> {
        let counts = Counts {
            all_max,
            per_address_max,
            ..Counts::default()
        };
        Arc::new(Self {
            counts: Mutex::new(counts),
        })
    }

    /// Changes the caps. Connections that are above them stay.
    pub fn set_caps(&self, all_max: usize, per_address_max: usize) {
        let mut counts = self.lock();
        counts.all_max = all_max;
        counts.per_address_max = per_address_max;
    }

    /// Admits a connection from an address.
    ///
    /// # Errors
    /// If a cap is reached.
    pub fn admit(self: &Arc<Self>, peer: SocketAddr) -> Result<Permit, AdmissionError> {
        let share = share_of(peer.ip());
        let mut counts = self.lock();
        if counts.all >= counts.all_max {
            return Err(AdmissionError::All(counts.all_max));
        }
        let max = counts.per_address_max;
        let here = counts.by_address.entry(share).or_insert(0);
        if *here >= max {
            return Err(AdmissionError::Address(max));
        }
        *here += 1;
        counts.all += 1;
        Ok(Permit {
            admission: Arc::clone(self),
            address: peer.ip(),
            port: peer.port(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Where the connection comes from.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.admission.lock();
        counts.all -= 1;
        let share = share_of(self.address);
        if let Some(here) = counts.by_address.get_mut(&share) {
            *here -= 1;
            if *here == 0 {
                counts.by_address.remove(&share);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_of_ipv6_is_one_address() {
        let share = |text: &str| share_of(text.parse().unwrap()).to_string();
        assert_eq!(share("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(share("2001:db8:1:2::9"), "2001:db8:1:2::");
        assert_eq!(share("2001:db8:1:3::9"), "2001:db8:1:3::");
        assert_eq!(share("::ffff:10.0.0.1"), "10.0.0.1");
        assert_eq!(share("10.0.0.1"), "10.0.0.1");
    }

    #[test]
    fn caps_hold_and_permits_come_back() {
        let admission = Admission::new(3, 2);
        let from = |last: u8| SocketAddr::from(([127, 0, 0, last], 50_000));
        let (one, two) = (from(1), from(2));
        let first = admission.admit(one).unwrap();
        let _second = admission.admit(one).unwrap();
        assert_eq!(
            admission.admit(one).unwrap_err(),
            AdmissionError::Address(2)
        );
        let _third = admission.admit(two).unwrap();
        assert_eq!(admission.admit(two).unwrap_err(), AdmissionError::All(3));
        drop(first);
        let again = admission.admit(one).unwrap();
        // Who is above new caps stays, and counts.
        admission.set_caps(3, 1);
        drop(again);
        assert_eq!(
            admission.admit(one).unwrap_err(),
            AdmissionError::Address(1)
        );
        admission.set_caps(3, 2);
        admission.admit(one).unwrap();
    }
}
