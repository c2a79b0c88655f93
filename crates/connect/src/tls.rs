//! Which certificates are trusted, and what to say of one that is not.
//!
//! Trusted are the system's roots and those of `ca_file`. TLS 1.2 and 1.3 are spoken, with ring. There is no option
//! to connect without verification, and there will be none: a venue's prices move money.

use crate::endpoint::Endpoint;
use crate::error::ConnectError;
use crate::failure::{Failure, FailureKind, causes};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsConnector;
use tracing::{debug, warn};

/// How peers are verified.
pub(crate) struct Trust {
    connector: TlsConnector,
    /// There is nothing to verify with.
    empty: bool,
}

impl Trust {
    /// The system's roots, and those of a file.
    pub(crate) fn new(ca_file: Option<&Path>) -> Result<Self, ConnectError> {
        let mut roots = RootCertStore::empty();
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            debug!(%error, "Some root certificates of the system cannot be read");
        }
        roots.add_parsable_certificates(native.certs);
        if let Some(path) = ca_file {
            add_file(&mut roots, path)?;
        }
        let empty = roots.is_empty();
        if empty {
            warn!(
                "There are no root certificates, so no TLS connection can be verified; install ca-certificates, or \
                 set ca_file"
            );
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| ConnectError::Tls(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            empty,
        })
    }

    /// The name that a peer's certificate must have.
    pub(crate) fn name(endpoint: &Endpoint) -> Result<ServerName<'static>, Failure> {
        let name = ServerName::try_from(endpoint.host.clone()).ok();
        name.ok_or_else(|| {
            let text = format!("{endpoint}: the host is no name that a certificate can have");
            Failure::new(FailureKind::Url, text)
        })
    }

    /// Makes TLS of a connection.
    pub(crate) const fn connector(&self) -> &TlsConnector {
        &self.connector
    }

    /// Why a handshake failed, and what to do.
    pub(crate) fn failure(&self, error: &io::Error, endpoint: &Endpoint) -> Failure {
        let inner = error.get_ref().and_then(|e| e.downcast_ref());
        let Some(inner) = inner else {
            let text = format!(
                "{endpoint}: the connection ended during the TLS handshake: {}",
                causes(error)
            );
            return Failure::new(FailureKind::Tls, text);
        };
        let why = match inner {
            rustls::Error::InvalidCertificate(wrong) => self.certificate(wrong, &endpoint.host),
            rustls::Error::InvalidMessage(_) => {
                "the peer does not speak TLS; is the scheme or the port wrong?".to_owned()
            }
            rustls::Error::AlertReceived(alert) => {
                format!("the peer refused the TLS handshake: {alert:?}")
            }
            other => format!("the TLS handshake failed: {other}"),
        };
        Failure::new(FailureKind::Tls, format!("{endpoint}: {why}"))
    }

    fn certificate(&self, wrong: &CertificateError, host: &str) -> String {
        use CertificateError as Wrong;
        match wrong {
            Wrong::UnknownIssuer if self.empty => {
                "the certificate cannot be verified, because this machine has no root certificates: install \
                 ca-certificates, or set ca_file"
                    .to_owned()
            }
            Wrong::UnknownIssuer => {
                "the certificate is signed by an authority that is not trusted; if it is your company's or a \
                 simulator's, put the authority's certificate into ca_file"
                    .to_owned()
            }
            Wrong::BadSignature => {
                "the certificate is signed by an authority that has the name, but not the key, of a trusted one; if \
                 the authority was made anew, put its present certificate into ca_file"
                    .to_owned()
            }
            Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => {
                format!(
                    "the certificate is not for the name {host} ({wrong}); check the address, and whether a proxy or \
                     a DNS server answers in its place"
                )
            }
            Wrong::Expired | Wrong::ExpiredContext { .. } => {
                format!(
                    "the certificate has expired ({wrong}); if this machine's clock is right, only the peer can \
                     change that"
                )
            }
            Wrong::NotValidYet | Wrong::NotValidYetContext { .. } => {
                format!("the certificate is not valid yet ({wrong}); check this machine's clock")
            }
            other => format!("the certificate is not accepted: {other}"),
        }
    }
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), ConnectError> {
    let pem = fs::read(path).map_err(|why| ConnectError::CaFile {
        path: path.to_owned(),
        why,
    })?;
    let unusable = |why: String| ConnectError::NoCertificate {
        path: path.to_owned(),
        why,
    };
    let mut found = 0_usize;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| unusable(error.to_string()))?;
        found += 1;
    }
    if found == 0 {
        return Err(unusable("there is none".to_owned()));
    }
    Ok(())
}
