//! Where a device hears notifications of its server: a port of its own, as package 0 does not say for which device it is.
use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::UdpSocket;

/// The largest datagram that is listened to, in bytes; a longer one is cut, hence malformed.
const LARGEST: usize = 2_048;

/// A port for datagrams.
#[derive(Debug)]
pub struct Ear {
    socket: UdpSocket,
    address: SocketAddr,
}

impl Ear {
    /// Listens at that address; at any free port where it is 0.
    pub async fn open(address: IpAddr, port: u16) -> io::Result<Self> {
        let socket = UdpSocket::bind((address, port)).await?;
        Ok(Self { address: socket.local_addr()?, socket })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next datagram.
    pub async fn listen(&self) -> io::Result<Vec<u8>> {
        let mut datagram = vec![0; LARGEST];
        let length = self.socket.recv(&mut datagram).await?;
        datagram.truncate(length);
        Ok(datagram)
    }
}
