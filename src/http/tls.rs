//! Certificates and keys to what a listener shows itself with. Pure over bytes: reading files, and reading them again, is for others.
//!
//! TLS 1.2 and 1.3 by rustls on aws-lc, with the library's own choice of ciphers. A listener that asks clients for certificates resumes
//! no session: a certificate is looked at in each connection, and an authority that was taken away is gone with the next one.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs as aws_lc;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

/// HTTP/2 in a handshake.
pub(super) const H2: &[u8] = b"h2";
/// HTTP/1.1 in a handshake.
const HTTP_1_1: &[u8] = b"http/1.1";

/// Why a listener cannot show itself with these certificates and this key.
#[derive(Debug, thiserror::Error)]
pub enum BadTls {
    /// The server's certificates do not read as PEM, or there are none.
    #[error("the server's certificates: {0}; give PEM text with the server's own certificate first, then those that signed it")]
    Certificates(String),
    /// The key does not read as PEM, or there is none.
    #[error("the server's private key: {0}; give one key in PEM text: PKCS #8, PKCS #1 or SEC 1, and not encrypted")]
    Key(String),
    /// The certificate and the key do not go together.
    #[error("the server's certificate and private key do not go together: {0}; give the key that the first certificate was made for")]
    Pair(rustls::Error),
    /// The authorities for clients do not read as PEM, or one cannot be used.
    #[error("the authorities that sign client certificates: {0}; give their own certificates in PEM text")]
    Authorities(String),
    /// Client certificates are required, and nobody is named who signs them.
    #[error("client certificates are required and no authority is named that signs them; name at least one")]
    NoAuthorities,
    /// The library does not take it.
    #[error("TLS cannot be set up: {0}")]
    Other(rustls::Error),
}

/// What a listener shows itself with, and what it asks of clients: their certificates are looked at where authorities are given, and
/// clients without one are turned away where one is required.
///
/// # Errors
/// Something is not in order: see [`BadTls`].
pub fn tls_config(
    certs_pem: &[u8],
    key_pem: &[u8],
    client_ca_pem: Option<&[u8]>,
    require_client_cert: bool,
) -> Result<ServerConfig, BadTls> {
    let chain = certificates(certs_pem).map_err(BadTls::Certificates)?;
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|error| BadTls::Key(error.to_string()))?;
    let provider = Arc::new(aws_lc::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(BadTls::Other)?;
    let builder = match client_ca_pem {
        None if require_client_cert => return Err(BadTls::NoAuthorities),
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(pem).map_err(BadTls::Authorities)? {
                roots.add(authority).map_err(|error| BadTls::Authorities(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = if require_client_cert { verifier } else { verifier.allow_unauthenticated() };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| BadTls::Authorities(error.to_string()))?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| {
        if let rustls::Error::InvalidCertificate(bad) = &error { BadTls::Certificates(bad.to_string()) } else { BadTls::Pair(error) }
    })?;
    config.alpn_protocols = vec![H2.to_vec(), HTTP_1_1.to_vec()];
    if client_ca_pem.is_some() {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|bad| bad.to_string())?;
    if found.is_empty() { Err("no certificate is in the text".to_owned()) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn pem(kind: &str, der: &[u8]) -> String {
        format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", STANDARD.encode(der))
    }

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (pem("CERTIFICATE", made.cert.der()), pem("PRIVATE KEY", made.signing_key.serialized_der()))
    }

    #[test]
    fn what_is_wrong_is_named() {
        let ((cert, key), (_, other)) = (pair(), pair());
        let read = |cert: &str, key: &str, authorities: Option<&str>, required| {
            tls_config(cert.as_bytes(), key.as_bytes(), authorities.map(str::as_bytes), required).map(drop).map_err(|bad| bad.to_string())
        };
        assert_eq!(read(&cert, &key, None, false), Ok(()));
        assert_eq!(read(&cert, &key, Some(&cert), true), Ok(()));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let rows = [
            (read("", &key, None, false), "no certificate is in the text"),
            (read(&key, &key, None, false), "no certificate is in the text"),
            (read(broken, &key, None, false), "the server's certificate"),
            (read(&cert, "", None, false), "the server's private key"),
            (read(&cert, &cert, None, false), "the server's private key"),
            (read(&cert, &other, None, false), "do not go together"),
            (read(&cert, &key, Some(""), false), "the authorities that sign client certificates"),
            (read(&cert, &key, Some(broken), false), "the authorities that sign client certificates"),
            (read(&cert, &key, None, true), "no authority is named"),
        ];
        for (read, expected) in rows {
            let told = read.unwrap_err();
            assert!(told.contains(expected), "{expected}: {told}");
        }
    }
}
