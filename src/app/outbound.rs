//! TLS of the calls that this process makes: for an issuer's keys, and from the command line to a server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider};

use crate::notify::Trust;

/// Largest file of authorities, in bytes.
const MAX_ROOTS_BYTES: u64 = 4 << 20;

/// Why no authorities are at hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRoots {
    /// The file cannot be used.
    #[error("the file of authorities `{}` cannot be used: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// This machine trusts none.
    #[error("this machine has no list of authorities ({why}); name a file with those that are trusted")]
    None {
        /// What was found instead.
        why: String,
    },
}

/// How to call by TLS: trusting the authorities in a file (PEM) and no others, or else those that this machine trusts.
///
/// # Errors
/// The file cannot be used, or this machine trusts nobody.
pub fn tls_config(authorities: Option<&Path>) -> Result<TlsConfig, BadRoots> {
    found(authorities).map(|certificates| http(&certificates))
}

/// The same, for whatever notifications are sent by.
///
/// # Errors
/// Those of [`tls_config`].
pub(super) fn trust(authorities: Option<&Path>) -> Result<Trust, BadRoots> {
    let certificates = found(authorities)?;
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(certificates.iter().map(|one| one.der().to_vec().into()));
    if taken == 0 {
        return Err(BadRoots::None { why: "none of its certificates can be read".to_owned() });
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| BadRoots::None { why: error.to_string() })?;
    let mail = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    Ok(Trust { http: http(&certificates), mail })
}

fn found(authorities: Option<&Path>) -> Result<Vec<Certificate<'static>>, BadRoots> {
    match authorities {
        Some(path) => from_file(path),
        None => of_machine(),
    }
}

fn http(certificates: &[Certificate<'static>]) -> TlsConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::new_with_certs(certificates))
        .unversioned_rustls_crypto_provider(provider);
    config.build()
}

fn from_file(path: &Path) -> Result<Vec<Certificate<'static>>, BadRoots> {
    let bad = |why: String| BadRoots::File { path: path.to_owned(), why };
    let pem = bounded(path, MAX_ROOTS_BYTES).map_err(bad)?;
    let mut found = Vec::new();
    for item in ureq::tls::parse_pem(&pem) {
        match item.map_err(|error| bad(error.to_string()))? {
            PemItem::Certificate(certificate) => found.push(certificate),
            PemItem::PrivateKey(_) => return Err(bad("it holds a private key; name the file with certificates only".to_owned())),
            _ => {}
        }
    }
    if found.is_empty() { Err(bad("it holds no certificate in PEM".to_owned())) } else { Ok(found) }
}

fn of_machine() -> Result<Vec<Certificate<'static>>, BadRoots> {
    let loaded = rustls_native_certs::load_native_certs();
    let found: Vec<_> = loaded.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    if found.is_empty() {
        let why = loaded.errors.first().map_or_else(|| "it is empty".to_owned(), ToString::to_string);
        return Err(BadRoots::None { why });
    }
    Ok(found)
}

/// A file's bytes, within a bound.
pub(super) fn bounded(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(most + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > most { Err(format!("it is longer than {most} bytes")) } else { Ok(bytes) }
}
