//! An authority for certificates of a test's own, whom nobody trusts who is not told to.

use std::net::Ipv4Addr;

use native_tls::{Identity, TlsAcceptor};
use openssl::{
    asn1::Asn1Time,
    bn::{BigNum, MsbOption},
    ec::{EcGroup, EcKey},
    error::ErrorStack,
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    x509::{
        X509, X509NameBuilder,
        extension::{BasicConstraints, SubjectAlternativeName},
    },
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// An authority for certificates.
pub struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

/// A port that speaks TLS before one that does not. Dropped, it ends.
pub struct Front {
    /// Where it is, on this machine.
    pub port: u16,
    serves: JoinHandle<()>,
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        let made = key().and_then(|key| Ok(Self { certificate: certificate(&key, None)?, key }));
        made.expect("OpenSSL makes certificates")
    }

    /// Its certificate, in PEM.
    pub fn pem(&self) -> String {
        let pem = self.certificate.to_pem().expect("a certificate can be written");
        String::from_utf8(pem).expect("PEM is text")
    }

    /// A port before this one of 127.0.0.1. It shows a certificate of this authority, for 127.0.0.1 and localhost.
    pub async fn before(&self, port: u16) -> Front {
        let identity = self.identity().expect("OpenSSL makes certificates");
        let acceptor = TlsAcceptor::new(identity).expect("OpenSSL takes its own");
        let acceptor = tokio_native_tls::TlsAcceptor::from(acceptor);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let serves = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // Who does not trust it, hangs up.
                    let Ok(mut outer) = acceptor.accept(stream).await else { return };
                    let inner = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
                    let Ok(mut inner) = inner else { return };
                    let _ = copy_bidirectional(&mut outer, &mut inner).await;
                });
            }
        });
        Front { port: address.port(), serves }
    }

    fn identity(&self) -> Result<Identity, ErrorStack> {
        let key = key()?;
        let shown = certificate(&key, Some(self))?.to_pem()?;
        let key = key.private_key_to_pem_pkcs8()?;
        Ok(Identity::from_pkcs8(&shown, &key).expect("OpenSSL takes its own"))
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.serves.abort();
    }
}

fn key() -> Result<PKey<Private>, ErrorStack> {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    PKey::from_ec_key(EcKey::generate(&curve)?)
}

/// A server's by this issuer, or an authority's own. It is good for a day.
fn certificate(key: &PKey<Private>, issuer: Option<&Authority>) -> Result<X509, ErrorStack> {
    let mut name = X509NameBuilder::new()?;
    let common = if issuer.is_some() { "a test's server" } else { "a test's authority" };
    name.append_entry_by_text("CN", common)?;
    let name = name.build();
    let mut serial = BigNum::new()?;
    serial.rand(128, MsbOption::MAYBE_ZERO, false)?;

    let mut certificate = X509::builder()?;
    certificate.set_version(2)?;
    certificate.set_serial_number(&*serial.to_asn1_integer()?)?;
    certificate.set_subject_name(&name)?;
    let by = issuer.map_or(&*name, |issuer| issuer.certificate.subject_name());
    certificate.set_issuer_name(by)?;
    certificate.set_pubkey(key)?;
    certificate.set_not_before(&*Asn1Time::days_from_now(0)?)?;
    certificate.set_not_after(&*Asn1Time::days_from_now(1)?)?;
    let extension = if issuer.is_some() {
        let mut names = SubjectAlternativeName::new();
        names.dns("localhost").ip("127.0.0.1").build(&certificate.x509v3_context(None, None))?
    } else {
        BasicConstraints::new().critical().ca().build()?
    };
    certificate.append_extension(extension)?;
    certificate.sign(issuer.map_or(key, |issuer| &issuer.key), MessageDigest::sha256())?;
    Ok(certificate.build())
}
