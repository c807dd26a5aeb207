//! Generators behind TLS.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;

use crate::gateway::{OPEN, Setup};
use crate::generator::{CONNECT, answer, bytes_of};
use crate::generators::{CONNECT_TARGET, COOKIE, NAME, tells_nothing};

/// A generator behind TLS; its certificate in PEM.
fn secured(name: &str) -> (SocketAddr, String) {
    secured_by(&params(name), None, rustls::ALL_VERSIONS)
}

fn params(name: &str) -> CertificateParams {
    CertificateParams::new([name.to_owned()]).unwrap()
}

/// The same, of its own making; with `clients`, one that talks to nobody who does not show a certificate that these have signed.
fn secured_by(
    params: &CertificateParams,
    clients: Option<RootCertStore>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> (SocketAddr, String) {
    let made_with = KeyPair::generate().unwrap();
    let made = params.self_signed(&made_with).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made_with.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(roots) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap(),
        ),
    };
    let config = builder.with_single_cert(vec![made.der().clone()], key.into()).unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let config = Arc::clone(&config);
            std::thread::spawn(move || {
                let mut stream =
                    rustls::StreamOwned::new(rustls::ServerConnection::new(config).unwrap(), stream);
                let mut request = Vec::new();
                let mut part = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut part) {
                    request.extend_from_slice(&part[..length]);
                    if request.ends_with(b"\r\n\r\n") {
                        request.clear();
                        let _ = stream.write_all(&answer(200, &[COOKIE], &bytes_of(CONNECT)));
                    }
                }
                let _ = stream.sock.shutdown(Shutdown::Both);
            });
        }
    });
    (address, made.pem())
}

#[test]
fn a_generator_behind_tls_is_trusted_by_the_configured_certificates_alone() {
    let (address, pem) = secured("127.0.0.1");
    let (_, other) = secured("127.0.0.1");
    let (misnamed, pem_of_misnamed) = secured("sign.example");
    let mut expired = params("127.0.0.1");
    expired.not_before = rcgen::date_time_ymd(2020, 1, 1);
    expired.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let (expired, pem_of_expired) = secured_by(&expired, None, rustls::ALL_VERSIONS);
    let ask = |address: SocketAddr, ca: &str| {
        let setup = Setup::new(OPEN).file("ca.pem", ca).config(&format!(
            "[[generator]]\nname = \"{NAME}\"\nkind = \"euler\"\nurl = \"https://{address}\"\nca = \"ca.pem\""
        ));
        let gateway = setup.start();
        let mut client = gateway.client();
        let answers = [client.get(CONNECT_TARGET, &[]), client.get(CONNECT_TARGET, &[])];
        drop(client);
        (answers, gateway.stop().records())
    };
    for good in ask(address, &pem).0 {
        assert_eq!((good.status, good.body), (200, bytes_of(CONNECT)));
    }
    for (address, ca) in [(address, other), (misnamed, pem_of_misnamed), (expired, pem_of_expired)] {
        let (answers, records) = ask(address, &ca);
        for failed in answers {
            failed.refusal(503, "generator_unreachable");
            tells_nothing("certificate", &failed, address);
        }
        assert!(records.iter().all(|record| record["defect"] == "certificate not accepted"), "{records:?}");
    }
    // Without `ca` the system's certificates count, and no such is among them.
    let setup = Setup::new(OPEN).flag("--generator").flag(&format!("euler=https://{address}"));
    match setup.try_start() {
        Ok(gateway) => drop(gateway.get(CONNECT_TARGET, &[]).refusal(503, "generator_unreachable")),
        Err((_, said)) => assert!(said.contains("no usable certificate"), "a system without any: {said}"),
    }
}

/// Those of the system are where its `SSL_CERT_FILE` says.
#[test]
fn without_certificates_of_its_own_a_generator_is_trusted_by_the_systems() {
    let (address, pem) = secured("127.0.0.1");
    let setup = |config: &str| {
        let table = format!(
            "[[generator]]\nname = \"{NAME}\"\nkind = \"euler\"\nurl = \"https://{address}\"\n{config}"
        );
        Setup::new(OPEN).config(&table).file("system.pem", &pem).env("SSL_CERT_FILE", "system.pem")
    };
    let good = setup("").start().get(CONNECT_TARGET, &[]);
    assert_eq!((good.status, good.body), (200, bytes_of(CONNECT)));
    // With `ca` the configured ones alone count.
    let (_, other) = secured("127.0.0.1");
    let gateway = setup("ca = \"ca.pem\"").file("ca.pem", &other).start();
    gateway.get(CONNECT_TARGET, &[]).refusal(503, "generator_unreachable");
    assert_eq!(gateway.stop().records()[0]["defect"], "certificate not accepted");
}

#[test]
fn a_generator_that_asks_for_a_certificate_is_shown_the_configured_one() {
    let issuer = |name: &str| {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let issued = |issuer: &CertifiedIssuer<'_, KeyPair>| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["gateway.example".to_owned()]).unwrap();
        (params.signed_by(&key, issuer).unwrap().pem(), key.serialize_pem())
    };
    let (trusted, stranger) = (issuer("ours"), issuer("another"));
    let mut roots = RootCertStore::empty();
    roots.add(trusted.der().clone()).unwrap();
    let (address, ca) = secured_by(&params("127.0.0.1"), Some(roots.clone()), rustls::ALL_VERSIONS);
    let setup = |shown: &str| {
        Setup::new(OPEN).file("ca.pem", &ca).config(&format!(
            "[[generator]]\nname = \"{NAME}\"\nkind = \"euler\"\nurl = \"https://{address}\"\nca = \"ca.pem\"\n{shown}"
        ))
    };
    let with = |(cert, key): &(String, String)| {
        setup("client-cert = \"client.pem\"\nclient-key = \"client.key\"")
            .file("client.pem", cert)
            .file("client.key", key)
    };
    let good = with(&issued(&trusted)).start().get(CONNECT_TARGET, &[]);
    assert_eq!((good.status, good.body), (200, bytes_of(CONNECT)));
    for refused in [with(&issued(&stranger)), setup("")] {
        let gateway = refused.start();
        let failed = gateway.get(CONNECT_TARGET, &[]);
        // In TLS 1.3 a client hears only after its handshake that it was not let in.
        failed.refusal(502, "generator_failed");
        tells_nothing("client certificate", &failed, address);
        assert_eq!(gateway.stop().records()[0]["defect"], "closed before any byte");
    }
    let (older, ca) = secured_by(&params("127.0.0.1"), Some(roots), &[&rustls::version::TLS12]);
    let setup = Setup::new(OPEN).file("ca.pem", &ca).config(&format!(
        "[[generator]]\nname = \"{NAME}\"\nkind = \"euler\"\nurl = \"https://{older}\"\nca = \"ca.pem\""
    ));
    let gateway = setup.start();
    gateway.get(CONNECT_TARGET, &[]).refusal(503, "generator_unreachable");
    assert_eq!(gateway.stop().records()[0]["defect"], "tls handshake failed");
    let (cert, _) = issued(&trusted);
    let (_, key) = issued(&trusted);
    let Err((status, said)) = with(&(cert, key)).try_start() else {
        panic!("a key of another certificate is taken")
    };
    assert!(!status.success() && said.contains("do not go together"), "{said}");
}
