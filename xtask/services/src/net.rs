//! Loopback ports.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Below the range from which Linux takes the local ports of outgoing connections (32768 and
/// up). A port from that range could be taken while a service is down, even by a client of that
/// very service, whose reconnect loop can end up connected to itself.
const PORTS: std::ops::Range<u16> = 15_000..32_000;

/// A TCP port on 127.0.0.1 that nothing listens on. Never the same twice in one process; two
/// processes begin at random places.
pub fn free_port() -> Result<u16> {
    static START: OnceLock<u16> = OnceLock::new();
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let start = *START.get_or_init(|| random_u64() as u16);
    for _ in PORTS {
        let step = TAKEN.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + start.wrapping_add(step) % (PORTS.end - PORTS.start);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free TCP port on 127.0.0.1 between {} and {}", PORTS.start, PORTS.end - 1)
}

/// Waits until something accepts connections on 127.0.0.1:`port`.
pub fn wait_for_port(port: u16, patience: Duration) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let accepts = || Ok(TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok());
    if !wait_until(patience, accepts)? {
        bail!("nothing listens on {address} after {patience:?}");
    }
    Ok(())
}

/// Waits until 127.0.0.1:`port` can be bound: the system frees a killed process's port late.
pub(crate) fn wait_until_free(port: u16, patience: Duration) -> Result<()> {
    let bindable = || Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
    if !wait_until(patience, bindable)? {
        bail!("port {port} on 127.0.0.1 is taken by another process");
    }
    Ok(())
}

/// Polls `ready` until it is true (`true`) or `patience` is over (`false`).
pub(crate) fn wait_until(
    patience: Duration,
    mut ready: impl FnMut() -> Result<bool>,
) -> Result<bool> {
    let end = Instant::now() + patience;
    loop {
        if ready()? {
            return Ok(true);
        }
        if Instant::now() >= end {
            return Ok(false);
        }
        sleep(Duration::from_millis(10));
    }
}

/// Random bits from the standard library's seeded hasher: good enough for names and ports.
pub(crate) fn random_u64() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_is_free_and_new() {
        let (first, second) = (free_port().unwrap(), free_port().unwrap());
        assert_ne!(first, second);
        // A child that another test forks holds the socket of free_port's probe until its exec.
        let mut listener = None;
        let bound = wait_until(Duration::from_secs(1), || {
            listener = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).ok();
            Ok(listener.is_some())
        });
        assert!(bound.unwrap());
        wait_for_port(first, Duration::ZERO).unwrap();
        assert!(wait_until_free(first, Duration::ZERO).is_err());
        drop(listener);
        wait_until_free(first, Duration::from_secs(1)).unwrap();
        assert!(wait_for_port(second, Duration::from_millis(20)).is_err());
    }
}
