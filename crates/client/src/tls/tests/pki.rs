//! Authorities, certificates and keys, made when they are needed.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use p12_keystore::{EncryptionAlgorithm, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate, what vouches for it besides the authority, and its key.
pub(super) struct Pair {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: KeyPair,
    pub(super) serial: SerialNumber,
}

/// What a certificate shall be like.
pub(super) struct Wanted {
    pub(super) name: &'static str,
    pub(super) hosts: Vec<&'static str>,
    /// Relative to now: days of the past and of the future.
    pub(super) from_days: i64,
    pub(super) to_days: i64,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { name: "broker", hosts: vec!["broker.test"], from_days: -1, to_days: 100 }
    }
}

pub(super) fn for_hosts(hosts: &[&'static str]) -> Wanted {
    Wanted { hosts: hosts.to_vec(), ..Wanted::default() }
}

pub(super) fn client(name: &'static str) -> Wanted {
    Wanted { name, hosts: Vec::new(), ..Wanted::default() }
}

fn parameters(wanted: &Wanted) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, wanted.name);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let at = |days: i64| match u32::try_from(days) {
        Ok(days) => epoch + now + DAY * days,
        Err(_) => epoch + now - DAY * u32::try_from(-days).expect("a few days"),
    };
    parameters.not_before = at(wanted.from_days);
    parameters.not_after = at(wanted.to_days);
    let names = wanted.hosts.iter().map(|host| match host.parse::<IpAddr>() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName((*host).try_into().expect("a host name")),
    });
    parameters.subject_alt_names = names.collect();
    parameters
}

fn authority_parameters(name: &'static str) -> CertificateParams {
    let wanted = Wanted { name, hosts: Vec::new(), from_days: -10, to_days: 1000 };
    let mut parameters = parameters(&wanted);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

impl Authority {
    pub(super) fn new(name: &'static str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(authority_parameters(name), key);
        Self(issuer.expect("an authority"))
    }

    /// One that this one vouches for.
    pub(super) fn below(&self, name: &'static str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::signed_by(authority_parameters(name), key, &self.0);
        Self(issuer.expect("an authority"))
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(super) fn der(&self) -> &CertificateDer<'static> {
        self.0.der()
    }

    pub(super) fn issue(&self, wanted: &Wanted) -> Pair {
        self.issue_for(wanted, KeyPair::generate().expect("a key"))
    }

    pub(super) fn issue_for(&self, wanted: &Wanted, key: KeyPair) -> Pair {
        let serial = SerialNumber::from_slice(wanted.name.as_bytes());
        let mut parameters = parameters(wanted);
        parameters.serial_number = Some(serial.clone());
        parameters.use_authority_key_identifier_extension = true;
        let certificate = parameters.signed_by(&key, &self.0).expect("a certificate");
        Pair { chain: vec![certificate.der().clone()], key, serial }
    }

    /// The list of what was taken back, in PEM form; `to_days` says when the next one is due.
    pub(super) fn revoke(&self, serials: &[&SerialNumber], to_days: u32) -> String {
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let before = epoch + now - DAY * 20;
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: (*serial).clone(),
            revocation_time: before,
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: before,
            next_update: before + DAY * to_days,
            crl_number: SerialNumber::from_slice(&[1]),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).expect("a list").pem().expect("as PEM")
    }
}

/// A certificate that vouches for itself; `is_ca` as `openssl req -x509` makes them.
pub(super) fn self_signed(wanted: &Wanted, is_ca: bool) -> Pair {
    let key = KeyPair::generate().expect("a key");
    let mut parameters = parameters(wanted);
    if is_ca {
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let certificate = parameters.self_signed(&key).expect("a certificate");
    let serial = SerialNumber::from_slice(&[1]);
    Pair { chain: vec![certificate.der().clone()], key, serial }
}

impl Pair {
    pub(super) fn pem(&self) -> String {
        self.chain.iter().map(|der| pem("CERTIFICATE", der)).collect()
    }

    pub(super) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    pub(super) fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    /// The key under a password, as `openssl pkcs8 -topk8` makes it.
    pub(super) fn key_pem_under(&self, password: &str) -> String {
        use pkcs8::pkcs5::pbes2::Parameters;
        let parameters = Parameters::generate_pbkdf2_sha256_aes256cbc(1000, &[7; 16], [9; 16]);
        let der = self.key.serialize_der();
        let key = pkcs8::PrivateKeyInfoRef::try_from(&der[..]).expect("a key");
        let parameters = parameters.expect("parameters");
        let encrypted = key.encrypt_with_params(parameters, password).expect("encrypted");
        pem("ENCRYPTED PRIVATE KEY", encrypted.as_bytes())
    }

    /// The key without the wrapping that says what kind it is.
    pub(super) fn bare_key_pem(&self, label: &str) -> String {
        let der = self.key.serialize_der();
        let key = pkcs8::PrivateKeyInfoRef::try_from(&der[..]).expect("a key");
        pem(label, key.private_key.as_bytes())
    }

    pub(super) fn pkcs12(&self, password: &str, with: EncryptionAlgorithm) -> Vec<u8> {
        let key = PrivateKey::from_der(&self.key.serialize_der()).expect("a key");
        let read = |der: &CertificateDer<'_>| p12_keystore::Certificate::from_der(der);
        let chain: Vec<_> = self.chain.iter().map(|der| read(der).expect("readable")).collect();
        let mut store = KeyStore::new();
        let entry = KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new("id", key, chain));
        store.add_entry("client", entry);
        let writer = store.writer(password).encryption_algorithm(with);
        writer.encryption_iterations(1000).mac_iterations(1000).write().expect("written")
    }
}

/// A truststore as keytool makes it.
pub(super) fn pkcs12_of(authorities: &[&Authority], password: &str) -> Vec<u8> {
    let mut store = KeyStore::new();
    for (at, authority) in authorities.iter().enumerate() {
        let certificate = p12_keystore::Certificate::from_der(authority.der()).expect("readable");
        store.add_entry(&format!("ca-{at}"), KeyStoreEntry::Certificate(certificate));
    }
    let writer = store.writer(password).encryption_iterations(1000).mac_iterations(1000);
    writer.write().expect("written")
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
