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

    /// Hands a datagram over; whether it arrives nobody knows.
    pub(super) async fn send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
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
