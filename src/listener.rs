//! The sockets that the server listens on, with TLS or without, and what it serves there.
use std::any::Any;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_tls::accept::openssl::TlsStream;
use actix_web::dev::{Extensions, Server};
use actix_web::middleware::from_fn;
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpServer, web};
use dmwsi_worker::download::Downloads;
use dmwsi_worker::gateway::{Certificate, Gateway};
use openssl::ssl::{
    SslAcceptor, SslAcceptorBuilder, SslFiletype, SslMethod, SslOptions, SslSessionCacheMode, SslVerifyMode, SslVersion,
};
use openssl::x509::X509Name;
use openssl::x509::store::X509Lookup;
use openssl::x509::verify::X509VerifyFlags;

use crate::config::Listen;
use crate::health::Health;
use crate::proxy::by_proxy;

/// What tells sessions of TLS in which clients may have shown a certificate from any others.
const DEVICES: &[u8] = b"dmwsi devices";

/// How long a handshake of TLS, or the head of a request, may take: over a slow radio each round takes seconds.
const SLOWEST: Duration = Duration::from_secs(30);

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
    /// The authorities that issue the certificates of devices cannot be used.
    #[error("cannot use the authorities in {}", .0.display())]
    Authorities(PathBuf, #[source] openssl::error::ErrorStack),
    /// The lists of revoked certificates cannot be used.
    #[error("cannot use the lists of revoked certificates in {}", .0.display())]
    Revocations(PathBuf, #[source] openssl::error::ErrorStack),
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

/// TLS 1.2 and 1.3 with the certificate of the settings; none when none is set. Where devices call, clients are asked for a certificate.
fn tls(listen: &Listen, has_devices: bool) -> Result<Option<SslAcceptorBuilder>, ListenError> {
    let (Some(certificate), Some(key)) = (&listen.certificate, &listen.private_key) else { return Ok(None) };
    let mut acceptor = acceptor(certificate, key).map_err(|cause| ListenError::Tls {
        certificate: certificate.display().to_string(),
        key: key.display().to_string(),
        cause,
    })?;
    if let Some(file) = listen.client_authorities.as_ref().filter(|_| has_devices) {
        ask_for_certificate(&mut acceptor, file).map_err(|cause| ListenError::Authorities(file.clone(), cause))?;
        if let Some(file) = &listen.client_revocations {
            heed_revocations(&mut acceptor, file).map_err(|cause| ListenError::Revocations(file.clone(), cause))?;
        }
    }
    Ok(Some(acceptor))
}

/// Clients may show a certificate, and one that none of these authorities has issued breaks the handshake off; without any they go on.
fn ask_for_certificate(acceptor: &mut SslAcceptorBuilder, authorities: &Path) -> Result<(), openssl::error::ErrorStack> {
    acceptor.set_ca_file(authorities)?;
    acceptor.set_client_ca_list(X509Name::load_client_ca_file(authorities)?);
    acceptor.set_session_id_context(DEVICES)?;
    acceptor.set_verify(SslVerifyMode::PEER);
    Ok(())
}

/// Whatever of a client's chain of certificates stands in these lists is refused, and so is what none of them is about.
fn heed_revocations(acceptor: &mut SslAcceptorBuilder, lists: &Path) -> Result<(), openssl::error::ErrorStack> {
    // Who resumes a session shows no certificate again, and would go on when the lists or the certificate are over.
    acceptor.set_session_cache_mode(SslSessionCacheMode::OFF);
    acceptor.set_options(SslOptions::NO_TICKET);
    acceptor.set_num_tickets(0)?;
    let store = acceptor.cert_store_mut();
    store.add_lookup(X509Lookup::file())?.load_crl_file(lists, SslFiletype::PEM)?;
    store.set_flags(X509VerifyFlags::CRL_CHECK | X509VerifyFlags::CRL_CHECK_ALL)
}

/// Puts the certificate that the client has shown among the data of its connection.
fn note_certificate(connection: &dyn Any, data: &mut Extensions) {
    let Some(stream) = connection.downcast_ref::<TlsStream<TcpStream>>() else { return };
    if let Some(certificate) = stream.ssl().peer_certificate().and_then(|shown| Certificate::of(&shown)) {
        data.insert(certificate);
    }
}

fn acceptor(certificate: &Path, key: &Path) -> Result<SslAcceptorBuilder, openssl::error::ErrorStack> {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    acceptor.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    acceptor.set_certificate_chain_file(certificate)?;
    acceptor.set_private_key_file(key, SslFiletype::PEM)?;
    acceptor.check_private_key()?;
    Ok(acceptor)
}

/// What one listener serves.
#[derive(Clone)]
pub(crate) struct Mount {
    pub(crate) health: Option<Health>,
    pub(crate) devices: Option<(Arc<Gateway>, Arc<Downloads>)>,
    pub(crate) app: Option<dmwsi_api::App>,
}

impl Mount {
    fn configure(self, config: &mut web::ServiceConfig) {
        if let Some(health) = self.health {
            health.configure(config);
        }
        if let Some((gateway, downloads)) = self.devices {
            gateway.configure()(config);
            downloads.configure()(config);
        }
        // It answers every address, so it comes last.
        if let Some(app) = self.app {
            dmwsi_api::configure(app)(config);
        }
    }
}

/// Serves it on a socket that is open.
pub(crate) fn serve(listener: TcpListener, listen: &Listen, threads: usize, mount: Mount) -> Result<Server, ListenError> {
    let at = listen.address;
    let failed = move |error| ListenError::Bind(at, error);
    // Metrics and health are asked for by others than the proxy, and say nothing secret.
    let has_devices = mount.devices.is_some();
    let has_guests = mount.devices.is_some() || mount.app.is_some();
    let proxy = listen.trusted_proxy.filter(|_| has_guests && listen.certificate.is_none());
    let server = HttpServer::new(move || {
        let mount = mount.clone();
        App::new()
            .wrap(from_fn(move |request, next| by_proxy(proxy, request, next)))
            .configure(move |config| mount.configure(config))
    })
    .on_connect(note_certificate)
    .disable_signals()
    .workers(threads.max(1))
    .max_connections(listen.max_connections)
    .tls_handshake_timeout(SLOWEST)
    .client_request_timeout(SLOWEST)
    .shutdown_timeout(10);
    let server = match tls(listen, has_devices)? {
        Some(acceptor) => server.listen_openssl(listener, acceptor).map_err(failed)?,
        None => server.listen(listener).map_err(failed)?,
    };
    Ok(server.run())
}
