//! Why a shell does not start.

use std::io;
use std::path::PathBuf;

/// Why a shell does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The file of certificates cannot be read.
    #[error("cannot read ca_file {}: {why}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        why: io::Error,
    },
    /// It holds nothing to trust.
    #[error(
        "ca_file {} holds no usable certificate ({why}); it must hold the CA's certificate as PEM, which begins with \
         -----BEGIN CERTIFICATE-----",
        path.display()
    )]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    /// The proxy cannot be used.
    #[error("the proxy of {origin} cannot be used: {why}")]
    Proxy {
        /// Where it is written: the configuration, or a variable of the environment.
        origin: String,
        /// Why not.
        why: String,
    },
    /// The `User-Agent` is no header.
    #[error("the user agent cannot be a header: it must be printable ASCII")]
    UserAgent,
    /// There is no thread.
    #[error("cannot start the thread {name}: {why}")]
    Thread {
        /// Its name.
        name: String,
        /// Why not.
        #[source]
        why: io::Error,
    },
}
