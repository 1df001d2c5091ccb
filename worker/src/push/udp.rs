//! Datagrams to devices.
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::UdpSocket;

/// The sockets that notifications leave by.
#[derive(Debug)]
pub(super) struct Udp {
    four: UdpSocket,
    /// None where the machine has no IPv6.
    six: Option<UdpSocket>,
}

impl Udp {
    pub(super) async fn open() -> io::Result<Self> {
        let four = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        Ok(Self { four, six: UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).await.ok() })
    }

    /// Hands datagrams over to one of the addresses of a device: since nobody knows whether they arrive there, to another one with each attempt, and to
    /// the next where one cannot be sent to.
    pub(super) async fn send_to_one(
        &self,
        addresses: &[IpAddr],
        port: u16,
        attempt: u32,
        datagrams: &[Vec<u8>],
    ) -> io::Result<()> {
        let earlier = usize::try_from(attempt.saturating_sub(1)).unwrap_or(0).checked_rem(addresses.len()).unwrap_or(0);
        let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses.iter().cycle().skip(earlier).take(addresses.len()) {
            match self.send_all(SocketAddr::new(*address, port), datagrams).await {
                Ok(()) => return Ok(()),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn send_all(&self, to: SocketAddr, datagrams: &[Vec<u8>]) -> io::Result<()> {
        for datagram in datagrams {
            self.send(to, datagram).await?;
        }
        Ok(())
    }

    /// Hands a datagram over; whether it arrives nobody knows.
    async fn send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        let socket = match to.ip() {
            IpAddr::V4(_) => Some(&self.four),
            IpAddr::V6(_) => self.six.as_ref(),
        };
        let socket = socket.ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
        match socket.try_send_to(datagram, to) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.send_to(datagram, to).await.map(drop),
            sent => sent.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn every_address_of_a_device_is_tried() {
        let udp = Udp { six: None, ..Udp::open().await.unwrap() };
        let first = UdpSocket::bind("127.0.0.2:0").await.unwrap();
        let port = first.local_addr().unwrap().port();
        let second = UdpSocket::bind(("127.0.0.3", port)).await.unwrap();
        // This machine cannot send to the first of them.
        let addresses: Vec<IpAddr> = ["2001:db8::1", "127.0.0.2", "127.0.0.3"].map(|text| text.parse().unwrap()).to_vec();
        for (attempt, heard) in [(1, &first), (2, &first), (3, &second), (4, &first), (u32::MAX, &second)] {
            udp.send_to_one(&addresses, port, attempt, &[b"a".to_vec(), b"b".to_vec()]).await.unwrap();
            for expected in [b"a", b"b"] {
                let mut datagram = [0; 8];
                let length = tokio::time::timeout(Duration::from_secs(5), heard.recv(&mut datagram)).await.unwrap().unwrap();
                assert_eq!(&datagram[..length], expected, "{attempt}");
            }
        }
        assert!(udp.send_to_one(&addresses[..1], port, 1, &[b"a".to_vec()]).await.is_err());
        assert!(udp.send_to_one(&[], port, 1, &[b"a".to_vec()]).await.is_err());
    }
}
