//! The embedded DynamoDB, behind TLS as the real one is.

use crate::Error;
use latchkey::client::AMAZON_ROOTS;
use local::dynamodb;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// A machine's certificates, where Linux distributions keep them; Lambda's is the last.
const CERTIFICATES: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// Where it is, and whom to trust.
pub struct DynamoDb {
    /// Of plain HTTP.
    pub port: u16,
    /// Of TLS.
    pub tls_port: u16,
    /// The certificate that vouches for it, beside those that vouch for the real one.
    pub own: tempfile::NamedTempFile,
    /// The machine's certificates with that one among them: what a client reads that trusts the machine's.
    pub bundle: tempfile::NamedTempFile,
}

/// Starts it in threads of its own, which last as long as the process.
pub fn start() -> Result<DynamoDb, Error> {
    let mut authority = CertificateParams::new([])?;
    authority.distinguished_name.push(DnType::CommonName, "Latchkey benchmark");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let mut certificate = CertificateParams::new(["localhost".into()])?;
    certificate.distinguished_name.push(DnType::CommonName, "localhost");
    let certificate = certificate.signed_by(&key, &authority)?;
    let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone(), authority.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )?;

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (listener, tls_listener) = {
        let _inside = runtime.enter();
        (bind()?, bind()?)
    };
    let (port, tls_port) = (listener.local_addr()?.port(), tls_listener.local_addr()?.port());
    let database = dynamodb::open(None)?;
    thread::spawn(move || {
        runtime.block_on(async {
            let (_running, stop) = watch::channel(false);
            let served = dynamodb::serve(listener, database, stop);
            accept(tls_listener, TlsAcceptor::from(Arc::new(tls)), port).await;
            served.abort();
        });
    });

    let own = tempfile::Builder::new().suffix(".pem").tempfile()?;
    std::fs::write(own.path(), AMAZON_ROOTS.to_owned() + &authority.pem())?;
    let machines = CERTIFICATES.iter().map(Path::new).find(|path| path.exists());
    let machines = machines.ok_or_else(|| format!("this machine has no certificates: none of {CERTIFICATES:?}"))?;
    let bundle = tempfile::Builder::new().suffix(".pem").tempfile()?;
    std::fs::write(bundle.path(), std::fs::read_to_string(machines)? + &authority.pem())?;
    Ok(DynamoDb { port, tls_port, own, bundle })
}

fn bind() -> std::io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Hands what comes in over TLS to the port of plain HTTP.
async fn accept(listener: TcpListener, tls: TlsAcceptor, port: u16) {
    while let Ok((stream, _)) = listener.accept().await {
        let tls = tls.clone();
        tokio::spawn(async move {
            stream.set_nodelay(true)?;
            let mut stream = tls.accept(stream).await?;
            let mut plain = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
            plain.set_nodelay(true)?;
            tokio::io::copy_bidirectional(&mut stream, &mut plain).await
        });
    }
}
