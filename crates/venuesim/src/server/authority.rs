//! A private authority, and the certificate that it signs for the server. It is made at the start, and its key is
//! never written anywhere; or it is kept in a directory, so that who trusts it once trusts it after a restart.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData as _,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::error::Error;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// The authority's certificate and the server's side of TLS.
pub(super) struct Authority {
    pem: String,
    config: Arc<ServerConfig>,
}

/// A key and its certificate.
struct Pair {
    pem: String,
    key: KeyPair,
}

type Failure = Box<dyn Error + Send + Sync>;

// === impl Authority ===

impl Authority {
    /// An authority, and a server's certificate for these names and addresses. With a directory, the authority is that
    /// of the directory; if it has none, a new one is kept there.
    pub(super) fn new(names: &[String], kept_in: Option<&Path>) -> Result<Self, Failure> {
        let pair = match kept_in {
            Some(directory) => Pair::kept_in(directory)?,
            None => Pair::generate()?,
        };
        let issuer = Issuer::new(params()?, pair.key);
        let mut params = CertificateParams::new(names)?;
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        let key = PrivateKeyDer::try_from(key.serialize_der())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            pem: pair.pem,
            config: Arc::new(config),
        })
    }

    /// The certificate that clients have to trust.
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// The server's side of a handshake.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

impl fmt::Debug for Authority {
    /// Without anything secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

// === impl Pair ===

impl Pair {
    fn generate() -> Result<Self, Failure> {
        let key = KeyPair::generate()?;
        let pem = params()?.self_signed(&key)?.pem();
        Ok(Self { pem, key })
    }

    /// The pair of a directory, or a new one that is written there.
    fn kept_in(directory: &Path) -> Result<Self, Failure> {
        let (certificate, key) = (directory.join(CERTIFICATE), directory.join(KEY));
        match (exists(&certificate)?, exists(&key)?) {
            (true, true) => Self::read(&certificate, &key),
            (false, false) => {
                let pair = Self::generate()?;
                fs::create_dir_all(directory).map_err(|error| wrong(directory, &error))?;
                write(&key, KEY_MODE, &pair.key.serialize_pem())?;
                write(&certificate, CERTIFICATE_MODE, &pair.pem)?;
                Ok(pair)
            }
            (has_certificate, _) => {
                let missing = if has_certificate { &key } else { &certificate };
                Err(format!(
                    "{}: it is missing, and the other file is there",
                    missing.display()
                )
                .into())
            }
        }
    }

    fn read(certificate: &Path, key: &Path) -> Result<Self, Failure> {
        let text = |file: &Path| fs::read_to_string(file).map_err(|error| wrong(file, &error));
        let pem = text(certificate)?;
        let parsed = KeyPair::from_pem(&text(key)?).map_err(|error| wrong(key, &error))?;
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| wrong(certificate, &error))?;
        // A certificate has its public key as it stands.
        let public = parsed.subject_public_key_info();
        if !der.windows(public.len()).any(|part| part == public) {
            let file = certificate.display();
            return Err(format!("{file}: it is not the certificate of {}", key.display()).into());
        }
        Ok(Self { pem, key: parsed })
    }
}

/// What every authority of a simulated venue is.
fn params() -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
        .distinguished_name
        .push(DnType::CommonName, "tapecast simulated venue");
    Ok(params)
}

fn exists(file: &Path) -> Result<bool, Failure> {
    file.try_exists().map_err(|error| wrong(file, &error))
}

/// Writes a file that is not there yet.
fn write(file: &Path, mode: u32, text: &str) -> Result<(), Failure> {
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true).mode(mode);
        options.open(file)?.write_all(text.as_bytes())
    };
    write().map_err(|error| wrong(file, &error))
}

fn wrong(file: &Path, error: &dyn fmt::Display) -> Failure {
    format!("{}: {error}", file.display()).into()
}

const CERTIFICATE: &str = "authority.pem";
const CERTIFICATE_MODE: u32 = 0o644;
const KEY: &str = "authority-key.pem";
/// Only its owner may read the key.
const KEY_MODE: u32 = 0o600;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn pem(directory: &Path) -> Result<String, String> {
        let names = ["localhost".to_owned()];
        let authority = Authority::new(&names, Some(directory));
        authority
            .map(|authority| authority.pem)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_authority_is_kept_and_its_key_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("new");
        let first = pem(&directory).unwrap();
        assert_eq!(pem(&directory).unwrap(), first);
        let mode = |name| {
            fs::metadata(directory.join(name))
                .unwrap()
                .permissions()
                .mode()
        };
        assert_eq!(mode(KEY) & 0o777, 0o600);
        assert!(!first.contains("PRIVATE"));
        let other = pem(&folder.path().join("other")).unwrap();
        assert_ne!(other, first);
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("1"), folder.path().join("2"));
        pem(&one).unwrap();
        pem(&two).unwrap();
        fs::copy(one.join(CERTIFICATE), two.join(CERTIFICATE)).unwrap();
        let error = pem(&two).unwrap_err();
        assert!(error.contains("it is not the certificate of"), "{error}");
        fs::remove_file(two.join(KEY)).unwrap();
        let error = pem(&two).unwrap_err();
        assert!(
            error.contains("authority-key.pem: it is missing"),
            "{error}"
        );
        fs::write(one.join(KEY), "nonsense").unwrap();
        assert!(pem(&one).unwrap_err().contains("authority-key.pem"));
    }
}
