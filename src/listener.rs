//! The sockets that the server listens on, with TLS or without.
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use openssl::ssl::{SslAcceptor, SslAcceptorBuilder, SslFiletype, SslMethod, SslVersion};

use crate::config::Listen;

/// The listener cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {0}")]
    Bind(SocketAddr, #[source] std::io::Error),
    /// Certificate or key cannot be used.
    #[error("cannot use the certificate {certificate} with the key {key}")]
    Tls {
        /// The file of the certificate chain.
        certificate: String,
        /// The file of the private key.
        key: String,
        /// What openssl says.
        #[source]
        cause: openssl::error::ErrorStack,
    },
}

/// Opens a socket; port 0 takes any free one.
pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let open = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    open().map_err(|error| ListenError::Bind(address, error))
}

/// TLS 1.2 and 1.3 with the certificate of the settings; none when none is set.
pub(crate) fn tls(listen: &Listen) -> Result<Option<SslAcceptorBuilder>, ListenError> {
    let (Some(certificate), Some(key)) = (&listen.certificate, &listen.private_key) else { return Ok(None) };
    acceptor(certificate, key).map(Some).map_err(|cause| ListenError::Tls {
        certificate: certificate.display().to_string(),
        key: key.display().to_string(),
        cause,
    })
}

fn acceptor(certificate: &Path, key: &Path) -> Result<SslAcceptorBuilder, openssl::error::ErrorStack> {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    acceptor.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    acceptor.set_certificate_chain_file(certificate)?;
    acceptor.set_private_key_file(key, SslFiletype::PEM)?;
    acceptor.check_private_key()?;
    Ok(acceptor)
}
