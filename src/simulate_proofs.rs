//! How simulated devices and their server prove who they are: options of `dmwsi simulate`.
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use dmwsi_objects::dmacc::AuthType;
use dmwsi_protocol::version::Version;
use dmwsi_simulator::{Behaviour, Wire, WireError};

/// How devices and server prove who they are, and in which version of the protocol.
#[derive(Args)]
#[command(next_help_heading = "How devices and server prove who they are")]
pub(crate) struct Proofs {
    /// How devices prove who they are.
    #[arg(long, value_enum, default_value_t = Way::Digest)]
    auth: Way,
    /// How the server must.
    #[arg(long, value_enum, default_value_t = ServerWay::Digest)]
    server_auth: ServerWay,
    /// Both do so in every message, in place of once a session.
    #[arg(long)]
    every_message: bool,
    /// The MACs of devices are in hexadecimal characters, as some clients have them.
    #[arg(long)]
    mac_in_hexadecimal: bool,
    /// The certificate that devices show, in PEM; with `--auth transport` its subject or an alternative name of it is the device's identity.
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// The key of that certificate, in PEM (PKCS #8).
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// Devices speak OMA DM 1.1.
    #[arg(long)]
    dm_1_1: bool,
}

/// How a device proves who it is.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Way {
    /// Name and password.
    Basic,
    /// A digest over them and a nonce.
    Digest,
    /// A MAC over each message.
    Hmac,
    /// The certificate of a TLS client.
    Transport,
}

/// How a server proves who it is.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ServerWay {
    /// Name and password.
    Basic,
    /// A digest over them and a nonce.
    Digest,
    /// A MAC over each message.
    Hmac,
    /// Not at all.
    None,
}

impl Proofs {
    /// The behaviour, as these options change it.
    pub(crate) fn of(&self, behaviour: Behaviour) -> Behaviour {
        Behaviour {
            version: if self.dm_1_1 { Version::V1_1 } else { Version::V1_2 },
            client_auth: match self.auth {
                Way::Basic => AuthType::Basic,
                Way::Digest => AuthType::Digest,
                Way::Hmac => AuthType::Hmac,
                Way::Transport => AuthType::Transport,
            },
            server_auth: match self.server_auth {
                ServerWay::Basic => Some(AuthType::Basic),
                ServerWay::Digest => Some(AuthType::Digest),
                ServerWay::Hmac => Some(AuthType::Hmac),
                ServerWay::None => None,
            },
            server_each: self.every_message,
            mac_in_hexadecimal: self.mac_in_hexadecimal,
            ..behaviour
        }
    }

    /// What devices talk over, trusting the authorities of that file, too.
    pub(crate) fn wire(&self, authorities: Option<&Path>) -> Result<Wire, WireError> {
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Wire::certified(authorities, certificate, key),
            _ => Wire::new(authorities),
        }
    }
}
