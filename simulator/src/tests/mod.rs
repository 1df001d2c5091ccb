//! Devices against a small server over HTTP.
mod fleet;
mod refusals;
mod server;
mod session;
mod update;

use crate::behaviour::Behaviour;
use crate::device::Device;
use crate::profile::DeviceProfile;
use crate::wire::Wire;
use dmwsi_protocol::message::Element;
use server::Server;

/// A server and a device that it knows, for which these commands wait.
async fn pair(behaviour: Behaviour, batches: Vec<Vec<Element>>) -> (Server, Device) {
    let server = Server::start().await;
    let profile = DeviceProfile::nth(1, 1);
    server.know(&profile, batches);
    let device = Device::new(profile, Behaviour { retry_ms: 1, ..behaviour }, server.dm(), &Wire::new(None).unwrap());
    (server, device)
}
