//! Where a generator is: parsed once, from `http://host:port/base` or `https://…`.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::resolve::Resolver;

/// Whom to trust when a generator shows its certificate.
#[derive(Clone, Copy, Debug)]
pub enum Roots<'a> {
    /// The certificates that the operating system trusts.
    Native,
    /// The certificates in this PEM text, and no others.
    Pem(&'a [u8]),
}

/// Who the gateway says it is, to a generator that asks for a certificate.
#[derive(Clone, Copy)]
pub struct Identity<'a> {
    /// The certificate in PEM, and those between it and the one that the generator trusts.
    pub certificates: &'a [u8],
    /// Its private key in PEM: PKCS #8, PKCS #1 or SEC1.
    pub key: &'a [u8],
}

/// Not what it holds.
impl fmt::Debug for Identity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity([redacted])")
    }
}

/// Why an origin cannot be used. Meant for the operator who wrote it.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// Not a URL.
    #[error("not a url: {0}")]
    Url(url::ParseError),
    /// Neither `http` nor `https`.
    #[error("a generator's url starts with `http://` or `https://`")]
    Scheme,
    /// User, password, query or fragment: the first two would be secrets in the wrong place, the others mean nothing.
    #[error("a generator's url has no user, password, query or fragment")]
    Surplus,
    /// No usable trust anchor.
    #[error("no usable certificate among the trusted roots")]
    Roots,
    /// The file for the gateway's own certificate holds none, or one that is broken.
    #[error("no usable certificate in `client-cert`")]
    ClientCertificate,
    /// The file for its key holds none.
    #[error("no usable private key in `client-key`")]
    ClientKey,
    /// Each is sound, and they do not belong together, or the key is of a kind that is not supported.
    #[error("`client-cert` and `client-key` do not go together: {0}")]
    Identity(String),
    /// rustls refuses the host or the settings.
    #[error("tls: {0}")]
    Tls(String),
}

/// Where a generator is and how it is reached. Cheap to clone; clones share the resolved addresses, so one origin
/// serves the pools of all threads.
#[derive(Clone)]
pub struct Origin {
    authority: Arc<str>,
    base_path: Arc<str>,
    resolver: Resolver,
    loopback: bool,
    tls: Option<Tls>,
}

/// What a handshake needs.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) connector: TlsConnector,
    pub(super) name: ServerName<'static>,
}

impl Origin {
    /// Parses a generator's URL; `roots` are looked at for `https` only.
    pub fn parse(url: &str, roots: Roots<'_>) -> Result<Self, OriginError> {
        Self::parse_as(url, roots, None)
    }

    /// As [`parse`](Self::parse); `identity` is shown to a generator that asks for a certificate.
    pub fn parse_as(
        url: &str,
        roots: Roots<'_>,
        identity: Option<Identity<'_>>,
    ) -> Result<Self, OriginError> {
        let url = Url::parse(url).map_err(OriginError::Url)?;
        let default_port = match url.scheme() {
            "http" => 80,
            "https" => 443,
            _ => return Err(OriginError::Scheme),
        };
        let surplus = !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some();
        if surplus {
            return Err(OriginError::Surplus);
        }
        let host = url.host().ok_or(OriginError::Scheme)?.to_owned();
        let port = url.port().unwrap_or(default_port);
        // `Url` drops a default port, and so does a Host header (RFC 9110 section 7.2).
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        let tls = if url.scheme() == "https" { Some(tls(&host, roots, identity)?) } else { None };
        let loopback = match &host {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        let resolver = match host {
            Host::Domain(name) => Resolver::of_name(&name, port),
            Host::Ipv4(address) => Resolver::of_address((address, port).into()),
            Host::Ipv6(address) => Resolver::of_address((address, port).into()),
        };
        Ok(Self {
            authority: authority.into(),
            base_path: url.path().trim_end_matches('/').into(),
            resolver,
            loopback,
            tls,
        })
    }

    /// Where it is, in texts: host and port, path, and whether by TLS.
    pub fn place(&self) -> (&str, &str, bool) {
        (&self.authority, &self.base_path, self.tls.is_some())
    }

    /// The same, with addresses from elsewhere.
    #[cfg(test)]
    pub(super) fn with_resolver(self, resolver: Resolver) -> Self {
        Self { resolver, ..self }
    }

    /// `host` or `host:port`, as in a Host header. For the operator's eyes only, never for a client's.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether it is on the machine that the gateway runs on.
    pub const fn is_loopback(&self) -> bool {
        self.loopback
    }

    pub(super) fn base_path(&self) -> &str {
        &self.base_path
    }

    pub(super) fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    pub(super) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }
}

/// Nothing: where a generator is must not end in a log line by way of some other type's `Debug`.
impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Origin([redacted])")
    }
}

fn tls(host: &Host<String>, roots: Roots<'_>, identity: Option<Identity<'_>>) -> Result<Tls, OriginError> {
    let refused = |error: &dyn fmt::Display| OriginError::Tls(error.to_string());
    let name = match host {
        Host::Domain(name) => ServerName::try_from(name.clone()).map_err(|error| refused(&error))?,
        Host::Ipv4(address) => ServerName::IpAddress((*address).into()),
        Host::Ipv6(address) => ServerName::IpAddress((*address).into()),
    };
    // Passed explicitly: a process-wide default could be set by anybody, or twice.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(&error))?
        .with_root_certificates(root_store(roots)?);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = (chain(identity.certificates)?, private_key(identity.key)?);
            // rustls compares the key with the certificate's.
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| OriginError::Identity(error.to_string()))?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Tls { connector: TlsConnector::from(Arc::new(config)), name })
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, OriginError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    chain.ok().filter(|chain| !chain.is_empty()).ok_or(OriginError::ClientCertificate)
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, OriginError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| OriginError::ClientKey)
}

/// The trust anchors. One bad certificate in a configured file is an error; the system's own may hold oddities.
fn root_store(roots: Roots<'_>) -> Result<RootCertStore, OriginError> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::Native => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Roots::Pem(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|_| OriginError::Roots)?;
                store.add(certificate).map_err(|_| OriginError::Roots)?;
            }
        }
    }
    if store.is_empty() { Err(OriginError::Roots) } else { Ok(store) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> Option<(String, String)> {
        let origin = Origin::parse(url, Roots::Native).ok()?;
        Some((origin.authority().to_owned(), origin.base_path().to_owned()))
    }

    #[test]
    fn host_header_and_base_path() {
        let expect = |url, authority: &str, base: &str| {
            assert_eq!(parts(url), Some((authority.to_owned(), base.to_owned())), "{url}");
        };
        expect("http://sign.example", "sign.example", "");
        expect("http://Sign.example:80/", "sign.example", "");
        expect("http://127.0.0.1:8080/base/", "127.0.0.1:8080", "/base");
        expect("http://[::1]:8080/a/b", "[::1]:8080", "/a/b");
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for url in
            ["sign.example", "ftp://sign.example", "http://u:p@sign.example", "http://x/?q", "http://x/#f"]
        {
            assert!(Origin::parse(url, Roots::Native).is_err(), "{url}");
        }
        for pem in ["", "no pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let origin = Origin::parse("https://sign.example", Roots::Pem(pem.as_bytes()));
            assert!(matches!(origin, Err(OriginError::Roots)), "{pem:?}");
        }
    }

    #[test]
    fn an_identity_that_cannot_be_shown_is_refused_at_once() {
        let made = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let (ours, other) = (made("gateway"), made("other"));
        let (pem, key) = (ours.cert.pem(), ours.signing_key.serialize_pem());
        let roots = Roots::Pem(pem.as_bytes());
        let with = |certificates: &str, key: &str| {
            let identity = Identity { certificates: certificates.as_bytes(), key: key.as_bytes() };
            Origin::parse_as("https://sign.example", roots, Some(identity)).err()
        };
        assert!(with(&pem, &key).is_none());
        assert!(matches!(with(&pem, &other.signing_key.serialize_pem()), Some(OriginError::Identity(_))));
        assert!(matches!(with("", &key), Some(OriginError::ClientCertificate)));
        assert!(matches!(with(&key, &key), Some(OriginError::ClientCertificate)));
        assert!(matches!(with(&pem, &pem), Some(OriginError::ClientKey)));
    }

    #[test]
    fn debug_reveals_nothing() {
        let origin = Origin::parse("http://sign.example:1234/base", Roots::Native).unwrap();
        assert_eq!(format!("{origin:?}"), "Origin([redacted])");
    }
}
