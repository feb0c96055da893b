//! TLS: whom the sender trusts, and the reason in words where it does not.

use super::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        Self::named("Test Authority")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }

    fn certify(&self, params: &CertificateParams) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        server_config(certificate.der().clone(), &key)
    }
}

fn server_config(certificate: CertificateDer<'static>, key: &KeyPair) -> ServerConfig {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap()
}

fn names_of_certificate(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

/// A server that answers every request over TLS, or lets the handshake fail.
async fn start<F, Fut>(config: ServerConfig, script: F) -> Receiver
where
    F: Fn(Peer<TlsStream<TcpStream>>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (acceptor, script) = (TlsAcceptor::from(Arc::new(config)), Arc::new(script));
    Receiver::start(move |peer| {
        let (acceptor, script) = (acceptor.clone(), Arc::clone(&script));
        async move {
            if let Ok(stream) = acceptor.accept(peer.stream).await {
                script(Peer { stream, number: peer.number, requests: peer.requests }).await;
            }
        }
    })
    .await
}

async fn well_behaved(config: ServerConfig) -> Receiver {
    start(config, |mut peer| async move {
        while peer.request().await {
            peer.send(answer("200 OK", "sealed").as_bytes()).await;
        }
    })
    .await
}

fn url(receiver: &Receiver) -> String {
    format!("https://hooks.test:{}/hook", receiver.address.port())
}

fn names() -> Names {
    Names::default().with("hooks.test", &["127.0.0.1"]).with("hooks.test.", &["127.0.0.1"])
}

async fn attempt(authority: &Authority, receiver: &Receiver) -> Exchange {
    sender_trusting(authority.roots(), &["127.0.0.0/8"], names()).attempt(&request(&url(receiver))).await
}

#[tokio::test]
async fn a_trusted_certificate_is_accepted_and_the_connection_used_again() {
    let authority = Authority::new();
    let receiver = well_behaved(authority.certify(&names_of_certificate(&["hooks.test", "127.0.0.1"]))).await;
    let sender = sender_trusting(authority.roots(), &["127.0.0.0/8"], names());
    for url in [
        url(&receiver),
        url(&receiver).replace(".test:", ".test.:"),
        format!("https://{}/", receiver.address),
    ] {
        let exchange = sender.attempt(&request(&url)).await;
        assert!(exchange.is_success(), "{exchange:?}");
        assert_eq!(exchange.response_excerpt.as_deref(), Some("sealed"));
    }
    while sender.pool.idle_connections() < 3 {
        tokio::task::yield_now().await;
    }
    assert!(sender.attempt(&request(&url(&receiver))).await.phases.reused);
    assert_eq!(receiver.connections(), 3);
}

#[tokio::test]
async fn certificates_that_do_not_hold_are_refused_with_the_reason() {
    let authority = Authority::new();
    let mut expired = names_of_certificate(&["hooks.test"]);
    expired.not_before = date_time_ymd(2024, 1, 1);
    expired.not_after = date_time_ymd(2025, 3, 3);
    let mut early = names_of_certificate(&["hooks.test"]);
    early.not_before = date_time_ymd(2190, 5, 1);
    early.not_after = date_time_ymd(2191, 5, 1);
    let mut for_clients = names_of_certificate(&["hooks.test"]);
    for_clients.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    for (params, words) in [
        (expired, "The certificate of hooks.test expired on 3 March 2025. Its owner must renew it."),
        (early, "not valid before 1 May 2190"),
        (names_of_certificate(&["other.test", "*.more.test"]), "is for other.test, *.more.test."),
        (names_of_certificate(&[]), "for another name"),
        (for_clients, "not one for a web server"),
    ] {
        let receiver = well_behaved(authority.certify(&params)).await;
        let exchange = attempt(&authority, &receiver).await;
        assert_failed(&exchange, "tls", words);
        assert!(receiver.requests().is_empty(), "nothing is sent to whom one does not trust");
    }
}

#[tokio::test]
async fn issuers_whom_nobody_knows_are_refused() {
    let (authority, stranger) = (Authority::new(), Authority::named("Stranger"));
    let receiver = well_behaved(stranger.certify(&names_of_certificate(&["hooks.test"]))).await;
    assert_failed(&attempt(&authority, &receiver).await, "tls", "Nobody whom this machine trusts");

    let namesake = well_behaved(Authority::new().certify(&names_of_certificate(&["hooks.test"]))).await;
    assert_failed(&attempt(&authority, &namesake).await, "tls", "Nobody whom this machine trusts");

    for is_ca in [IsCa::NoCa, IsCa::ExplicitNoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let key = KeyPair::generate().unwrap();
        let mut params = names_of_certificate(&["hooks.test"]);
        params.is_ca = is_ca;
        let certificate = params.self_signed(&key).unwrap();
        let receiver = well_behaved(server_config(certificate.der().clone(), &key)).await;
        assert_failed(&attempt(&authority, &receiver).await, "tls", "self-signed");
    }
}

#[tokio::test]
async fn ports_that_do_not_speak_tls_are_told_apart() {
    let authority = Authority::new();
    let plain = Receiver::start(|mut peer| async move {
        let _ = peer.stream.read(&mut [0; 1_024]).await;
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    assert_failed(&attempt(&authority, &plain).await, "tls", "does not speak https");

    let closing = Receiver::start(|mut peer| async move {
        let _ = peer.stream.read(&mut [0; 16_384]).await;
    })
    .await;
    assert_failed(&attempt(&authority, &closing).await, "tls", "cut the connection while encryption");

    let resetting = Receiver::start(|mut peer| async move {
        let _ = peer.stream.read(&mut [0; 16_384]).await;
        peer.reset();
    })
    .await;
    assert_failed(&attempt(&authority, &resetting).await, "tls", "cut the connection while encryption");
}

#[tokio::test]
async fn alerts_of_the_endpoint_are_understood() {
    // A TLS record of type alert, version 1.2, two bytes: fatal, and its number.
    for (number, words) in [
        (40, "takes no encryption that is safe today"),
        (70, "takes no encryption that is safe today"),
        (80, "InternalError"),
        (112, "does not serve the name hooks.test"),
        (116, "asks for a client certificate"),
    ] {
        let receiver = Receiver::start(move |mut peer| async move {
            let _ = peer.stream.read(&mut [0; 16_384]).await;
            peer.send(&[0x15, 3, 3, 0, 2, 2, number]).await;
        })
        .await;
        assert_failed(&attempt(&Authority::new(), &receiver).await, "tls", words);
    }
}

#[tokio::test]
async fn a_client_certificate_that_is_wanted_is_called_so_in_each_version() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let authority = Authority::new();
        let receiver = well_behaved(asking_for_certificate(&authority, version, true)).await;
        assert_failed(&attempt(&authority, &receiver).await, "tls", "asks for a client certificate");
    }
}

#[tokio::test]
async fn an_endpoint_that_asks_for_a_certificate_may_cut_instead_of_saying_so() {
    let authority = Authority::new();
    let cutting =
        start(asking_for_certificate(&authority, &rustls::version::TLS13, false), |mut peer| async move {
            peer.request().await;
        })
        .await;
    assert_failed(&attempt(&authority, &cutting).await, "tls", "asks for a client certificate");

    let doing_without =
        start(asking_for_certificate(&authority, &rustls::version::TLS13, false), |mut peer| async move {
            peer.request().await;
            peer.send(answer("200 OK", "").as_bytes()).await;
            peer.request().await;
        })
        .await;
    let sender = sender_trusting(authority.roots(), &["127.0.0.0/8"], names());
    assert!(sender.attempt(&request(&url(&doing_without))).await.is_success());
    let exchange = sender.attempt(&request(&url(&doing_without))).await;
    assert_failed(&exchange, "protocol", "closed the connection without a complete answer");
}

/// A server that asks for a certificate of its clients, and refuses those that have none, or lets them in.
fn asking_for_certificate(
    authority: &Authority,
    version: &'static rustls::SupportedProtocolVersion,
    refuses: bool,
) -> ServerConfig {
    let provider = || Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(authority.roots()), provider());
    let verifier = if refuses { verifier } else { verifier.allow_unauthenticated() };
    let key = KeyPair::generate().unwrap();
    let certificate = names_of_certificate(&["hooks.test"]).signed_by(&key, &authority.0).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_hangs_times_out_with_the_phase() {
    let receiver = Receiver::start(|peer| async move {
        std::future::pending::<()>().await;
        drop(peer);
    })
    .await;
    let exchange = attempt(&Authority::new(), &receiver).await;
    assert_failed(&exchange, "timeout", "agreeing on encryption with hooks.test");
    assert!((10_000..=10_250).contains(&exchange.duration_ms));
}

#[tokio::test]
async fn a_redirect_from_https_to_http_is_refused() {
    let authority = Authority::new();
    let target = Receiver::answering(answer("200 OK", "")).await;
    let location = target.url("/");
    let receiver = start(authority.certify(&names_of_certificate(&["hooks.test"])), move |mut peer| {
        let text = answer(&format!("307 Go\r\nlocation: {location}"), "");
        async move {
            peer.request().await;
            peer.send(text.as_bytes()).await;
        }
    })
    .await;
    let exchange = attempt(&authority, &receiver).await;
    assert_failed(&exchange, "redirect_refused", "hooks.test redirects from https to plain http");
    assert_eq!(target.connections(), 0);
}
