//! What stands before processes of one kind: one address, each connection led to one of those that run, and cut now and then.
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use super::dice::Dice;

/// How long a connection is led through before it is cut, at most, in milliseconds.
const LONGEST: u64 = 4_000;

/// A balancer.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    state: watch::Sender<State>,
}

#[derive(Clone, Default)]
struct State {
    targets: Vec<(usize, SocketAddr)>,
    is_shut: bool,
}

impl Front {
    /// One that leads nowhere yet. Where `cuts`, connections do not live for ever.
    pub(crate) async fn open(dice: Dice, cuts: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = Self { address: listener.local_addr().unwrap(), state: watch::Sender::default() };
        let (state, dice) = (front.state.clone(), Arc::new(Mutex::new(dice)));
        tokio::spawn(async move {
            let mut turn = 0_usize;
            while let Ok((stream, _peer)) = listener.accept().await {
                turn = turn.wrapping_add(1);
                let life = if cuts { dice.lock().unwrap().millis(50, LONGEST) } else { Duration::MAX };
                tokio::spawn(lead(stream, state.subscribe(), turn, life));
            }
        });
        front
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it leads there, too.
    pub(crate) fn add(&self, seat: usize, target: SocketAddr) {
        self.state.send_modify(|state| state.targets.push((seat, target)));
    }

    /// And no more there.
    pub(crate) fn remove(&self, seat: usize) {
        self.state.send_modify(|state| state.targets.retain(|(at, _)| *at != seat));
    }

    /// Cuts every connection and takes no further ones, or takes them again.
    pub(crate) fn shut(&self, is_shut: bool) {
        self.state.send_modify(|state| state.is_shut = is_shut);
    }
}

/// Leads one connection through.
async fn lead(mut near: TcpStream, mut state: watch::Receiver<State>, turn: usize, life: Duration) {
    let State { targets, is_shut } = state.borrow_and_update().clone();
    let count = targets.len();
    if is_shut {
        return;
    }
    for at in 0..count {
        let (_, target) = targets[(turn + at) % count];
        if let Ok(mut far) = TcpStream::connect(target).await {
            let through = timeout(life, copy_bidirectional(&mut near, &mut far));
            // However it ends, both sides are closed with it.
            tokio::select! {
                ended = through => drop(ended),
                shut = state.wait_for(|state| state.is_shut) => drop(shut),
            }
            return;
        }
    }
}
