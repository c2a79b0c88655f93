//! A connected and verified socket: name look-up, TCP, perhaps a proxy, TLS.
//!
//! Each step has the rest of one deadline, and a failure names its step. If a host has several addresses, they are
//! tried in the order of the system, and each has an equal share of the time that is left.
//!
//! Look-ups are the system's, on threads of their own. One that hangs delays later look-ups only if
//! [`LOOKUPS_AT_ONCE`] of them hang.

use crate::config::ConnectConfig;
use crate::endpoint::Endpoint;
use crate::error::ConnectError;
use crate::failure::{Failure, FailureKind, causes};
use crate::proxy::Routes;
use crate::socket::{Socket, TimedTcp};
use crate::tls::Trust;
use hyper::header::HeaderValue;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};

/// How to get sockets.
pub(crate) struct Dialer {
    trust: Trust,
    routes: Routes,
    bind: Option<IpAddr>,
    user_agent: HeaderValue,
    user_agent_text: String,
}

impl Dialer {
    /// Reads what the configuration names: files and the environment.
    pub(crate) fn new(config: &ConnectConfig) -> Result<Self, ConnectError> {
        let user_agent = HeaderValue::from_str(&config.user_agent)
            .ok()
            .filter(|value| value.to_str().is_ok())
            .ok_or(ConnectError::UserAgent)?;
        Ok(Self {
            trust: Trust::new(config.ca_file.as_deref())?,
            routes: Routes::new(&config.proxy, |name| std::env::var(name).ok())?,
            bind: config.bind,
            user_agent,
            user_agent_text: config.user_agent.clone(),
        })
    }

    /// What we call ourselves.
    pub(crate) fn user_agent(&self) -> HeaderValue {
        self.user_agent.clone()
    }

    /// Connects.
    pub(crate) async fn dial(
        &self,
        endpoint: &Endpoint,
        deadline: Instant,
    ) -> Result<Socket, Failure> {
        // Before anything is connected: a name that TLS cannot have.
        let name = Trust::name(endpoint)?;
        let tcp = match self.routes.to(endpoint) {
            None => {
                self.connect(&endpoint.host, endpoint.port, deadline)
                    .await?
            }
            Some(proxy) => {
                let connected = self.connect(&proxy.host, proxy.port, deadline).await;
                let mut tcp = connected.map_err(|failure| {
                    let text = format!("the proxy cannot be reached: {}", failure.text);
                    Failure::new(FailureKind::Proxy, text)
                })?;
                let opened = proxy.open(&mut tcp, endpoint, &self.user_agent_text);
                let late = || format!("the proxy {proxy} did not answer in time");
                within(deadline, opened, FailureKind::Proxy, late).await??;
                tcp
            }
        };
        let tcp = TimedTcp::new(tcp);
        if !endpoint.tls {
            return Ok(Socket::Plain(tcp));
        }
        let handshake = Box::pin(self.trust.connector().connect(name, tcp));
        let late = || format!("{endpoint}: the TLS handshake did not end in time");
        match within(deadline, handshake, FailureKind::Timeout, late).await? {
            Ok(tls) => Ok(Socket::Tls(Box::new(tls))),
            Err(error) => Err(self.trust.failure(&error, endpoint)),
        }
    }

    async fn connect(
        &self,
        host: &str,
        port: u16,
        deadline: Instant,
    ) -> Result<TcpStream, Failure> {
        let addresses = self.addresses(host, port, deadline).await?;
        self.connect_one(host, &addresses, deadline).await
    }

    /// Connects to one of a host's addresses.
    async fn connect_one(
        &self,
        host: &str,
        addresses: &[SocketAddr],
        deadline: Instant,
    ) -> Result<TcpStream, Failure> {
        let mut last = None;
        for (tried, address) in addresses.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            let late = || format!("{host} ({address}) did not answer in time");
            let connecting = self.connect_to(*address);
            let until = Instant::now() + share;
            let failure = match within(until, connecting, FailureKind::Timeout, late).await {
                Ok(Ok(tcp)) => return Ok(tcp),
                Ok(Err(error)) => self.tcp_failure(&error, host, *address),
                Err(failure) => failure,
            };
            last = Some(failure);
        }
        Err(last.unwrap_or_else(|| {
            let text = match self.bind {
                None => format!("{host} has no address"),
                Some(bind) => {
                    format!("{host} has no address of the family of the bind address {bind}")
                }
            };
            Failure::new(FailureKind::Dns, text)
        }))
    }

    /// The addresses of a host, of the family of the bind address.
    async fn addresses(
        &self,
        host: &str,
        port: u16,
        deadline: Instant,
    ) -> Result<Vec<SocketAddr>, Failure> {
        let mut addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => {
                let lookup = tokio::net::lookup_host((host, port));
                let late = || format!("the look-up of {host} did not end in time");
                match within(deadline, lookup, FailureKind::Timeout, late).await? {
                    Ok(addresses) => addresses.collect(),
                    Err(error) => {
                        let text = format!("the address of {host} cannot be found: {error}");
                        return Err(Failure::new(FailureKind::Dns, text));
                    }
                }
            }
        };
        if let Some(bind) = self.bind {
            addresses.retain(|address| address.is_ipv4() == bind.is_ipv4());
        }
        Ok(addresses)
    }

    async fn connect_to(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        if let Some(bind) = self.bind {
            socket.bind(SocketAddr::new(bind, 0))?;
        }
        socket.set_nodelay(true)?;
        SockRef::from(&socket).set_tcp_keepalive(
            &TcpKeepalive::new()
                .with_time(KEEPALIVE_AFTER)
                .with_interval(KEEPALIVE_EVERY)
                .with_retries(KEEPALIVE_RETRIES),
        )?;
        socket.connect(address).await
    }

    fn tcp_failure(&self, error: &io::Error, host: &str, address: SocketAddr) -> Failure {
        let kind = match error.kind() {
            io::ErrorKind::ConnectionRefused => FailureKind::Refused,
            io::ErrorKind::TimedOut => FailureKind::Timeout,
            _ => FailureKind::Io,
        };
        let text = match (self.bind, error.kind()) {
            (Some(bind), io::ErrorKind::AddrNotAvailable) => {
                format!("the bind address {bind} is not an address of this machine: {error}")
            }
            _ => format!("{host} ({address}) cannot be reached: {}", causes(error)),
        };
        Failure::new(kind, text)
    }
}

/// Waits for a step until the deadline.
pub(crate) async fn within<T>(
    deadline: Instant,
    step: impl Future<Output = T>,
    kind: FailureKind,
    late: impl FnOnce() -> String,
) -> Result<T, Failure> {
    timeout_at(deadline, step)
        .await
        .ok()
        .ok_or_else(|| Failure::new(kind, late()))
}

/// A moment so long from now, at most a day.
pub(crate) fn after(duration: Duration) -> Instant {
    Instant::now() + duration.min(DAY)
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Threads for look-ups.
pub(crate) const LOOKUPS_AT_ONCE: usize = 16;
/// A connection that is silent so long is probed: a peer that has vanished is noticed after 35 s.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(15);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Proxy;
    use socket2::{Domain, Socket, Type};

    fn dialer() -> Dialer {
        let config = ConnectConfig {
            proxy: Proxy::None,
            ..ConnectConfig::default()
        };
        Dialer::new(&config).unwrap()
    }

    #[tokio::test]
    async fn sockets_send_at_once_and_probe_silent_peers() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let until = after(Duration::from_secs(30));
        let tcp = dialer().connect("127.0.0.1", port, until).await.unwrap();
        let socket = SockRef::from(&tcp);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_AFTER);
    }

    /// A listener whose queue is full does not answer, like a host that is away.
    #[tokio::test]
    async fn an_address_that_does_not_answer_leaves_time_for_the_next() {
        let full = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        full.bind(&any.into()).unwrap();
        full.listen(0).unwrap();
        let away = full.local_addr().unwrap().as_socket().unwrap();
        let fill = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None).unwrap();
            // It is under way.
            let _ = socket.connect(&away.into());
            socket
        };
        let _filled: Vec<Socket> = std::iter::repeat_with(fill).take(8).collect();
        let there = std::net::TcpListener::bind(any).unwrap();
        let addresses = [away, away, there.local_addr().unwrap()];
        let until = after(Duration::from_secs(2));
        let tcp = dialer().connect_one("v.test", &addresses, until).await;
        assert_eq!(tcp.unwrap().peer_addr().unwrap(), addresses[2]);
        assert!(Instant::now() < until);
        let until = after(Duration::from_millis(100));
        let away = dialer().connect_one("v.test", &addresses[..2], until).await;
        let failure = away.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Timeout, "{failure}");
    }
}
