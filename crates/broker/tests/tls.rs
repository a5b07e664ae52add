//! TLS as clients meet it, with certificates of the test's own making.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use base64::Engine as _;
use common::Batch;
use common::client::{Client, PATIENCE, fetch_request, produce_request};
use ottla_broker::{Cluster, Listener, Mechanism, Sasl, Tls};
use ottla_protocol::messages::metadata::{MetadataRequest, MetadataResponse};
use ottla_protocol::record::validate_batch;
use ottla_protocol::{Request, decode_response, encode_request};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned};

type Secure = StreamOwned<ClientConnection, TcpStream>;

/// An authority, and what it signs.
struct Authority(CertifiedIssuer<'static, KeyPair>);

struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn signs(&self, name: &str) -> Identity {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::OrganizationalUnitName, "test");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity { certificate, key }
    }
}

impl Identity {
    fn tls(&self) -> Tls {
        Tls::new(self.certificate.pem(), self.key.serialize_pem())
    }
}

/// A client that trusts an authority and shows a certificate if it has one.
fn secure(address: &str, trusted: &Authority, own: Option<&Identity>) -> std::io::Result<Secure> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.0.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let chain = vec![CertificateDer::from(own.certificate.der().to_vec())];
            let key = PrivateKeyDer::try_from(own.key.serialize_der()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut stream = StreamOwned::new(session, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

fn metadata(stream: &mut Secure) -> std::io::Result<MetadataResponse> {
    call(stream, 9, &MetadataRequest { topics: None, ..MetadataRequest::default() })
}

fn call<R: Request>(
    stream: &mut Secure,
    version: i16,
    request: &R,
) -> std::io::Result<R::Response> {
    let mut bytes = Vec::new();
    encode_request(request, version, 1, Some("raw"), &mut bytes).unwrap();
    stream.write_all(&bytes)?;
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix)?;
    let mut frame = vec![0; u32::from_be_bytes(prefix) as usize];
    stream.read_exact(&mut frame)?;
    Ok(decode_response::<R>(frame.into(), version).unwrap().1)
}

/// The principal that the broker saw last.
fn seen(cluster: &Cluster) -> String {
    cluster.requests().last().unwrap().principal.to_string()
}

#[test]
fn a_client_that_trusts_the_authority_is_served_by_both_versions() {
    let authority = Authority::new("one");
    let identity = authority.signs("broker");
    for (tls, version) in [
        (identity.tls(), ProtocolVersion::TLSv1_3),
        (identity.tls().only_tls_1_2(), ProtocolVersion::TLSv1_2),
        (identity.tls().only_tls_1_3(), ProtocolVersion::TLSv1_3),
    ] {
        let cluster = Cluster::builder().topic("t", 1).tls(tls).start().unwrap();
        let address = cluster.addresses()[0];
        let mut stream = secure(&address.to_string(), &authority, None).unwrap();
        assert_eq!(stream.conn.protocol_version(), Some(version));
        let answer = metadata(&mut stream).unwrap();
        assert_eq!(answer.topics.len(), 1);
        assert_eq!(answer.brokers[0].port, i32::from(address.port()));
        assert_eq!(seen(&cluster), "User:ANONYMOUS");
    }
}

/// They are in a file that the system cannot send by itself here.
#[test]
fn records_of_any_size_come_whole_over_tls() {
    let authority = Authority::new("one");
    let tls = authority.signs("broker").tls();
    let cluster = Cluster::builder().topic("t", 1).tls(tls).start().unwrap();
    let address = cluster.addresses()[0].to_string();
    let mut stream = secure(&address, &authority, None).unwrap();
    for (offset, size) in [10, 20_000, 300_000, 900_000].into_iter().enumerate() {
        let batch = Batch::of([vec![offset as u8; size]]);
        let produced = call(&mut stream, 12, &produce_request(-1, "t", 0, batch.encode())).unwrap();
        assert_eq!(produced.responses[0].partition_responses[0].error_code, 0);
        let answer = call(&mut stream, 11, &fetch_request("t", 0, offset as i64, 0)).unwrap();
        let records = answer.responses[0].partitions[0].records.clone().unwrap();
        let header = validate_batch(&records).unwrap();
        assert_eq!((header.base_offset, header.size_bytes()), (offset as i64, Some(records.len())));
        assert!(records.len() > size);
    }
}

#[test]
fn a_client_that_shows_a_certificate_is_known_by_its_subject() {
    let (authority, clients) = (Authority::new("one"), Authority::new("clients"));
    let tls = authority.signs("broker").tls().client_ca(clients.pem());
    let cluster = Cluster::builder().tls(tls).start().unwrap();
    let address = cluster.addresses()[0].to_string();
    let alice = clients.signs("alice");
    metadata(&mut secure(&address, &authority, Some(&alice)).unwrap()).unwrap();
    assert_eq!(seen(&cluster), "User:CN=alice,OU=test");
    // One without a certificate is let in as long as none is required.
    metadata(&mut secure(&address, &authority, None).unwrap()).unwrap();
    assert_eq!(seen(&cluster), "User:ANONYMOUS");
    let mallory = authority.signs("mallory");
    let refused = secure(&address, &authority, Some(&mallory)).and_then(|mut s| metadata(&mut s));
    assert!(refused.is_err());
}

#[test]
fn nobody_comes_in_without_a_certificate_where_one_is_required() {
    let authority = Authority::new("one");
    let tls = authority.signs("broker").tls().client_ca(authority.pem());
    let cluster = Cluster::builder().tls(tls.require_client_certificate(true)).start().unwrap();
    let address = cluster.addresses()[0].to_string();
    let refused = secure(&address, &authority, None).and_then(|mut s| metadata(&mut s));
    assert!(refused.is_err());
    let alice = authority.signs("alice");
    metadata(&mut secure(&address, &authority, Some(&alice)).unwrap()).unwrap();
}

#[test]
fn the_certificate_changes_for_those_who_connect_later() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let cluster = Cluster::builder().tls(old.signs("broker").tls()).start().unwrap();
    let address = cluster.addresses()[0].to_string();
    let mut before = secure(&address, &old, None).unwrap();
    let next = new.signs("broker");
    // One of no use changes nothing.
    let other = new.signs("other").key.serialize_pem();
    assert!(cluster.set_certificate(next.certificate.pem(), other).is_err());
    assert!(cluster.set_certificate("", "").is_err());
    secure(&address, &old, None).unwrap();

    cluster.set_certificate(next.certificate.pem(), next.key.serialize_pem()).unwrap();
    assert!(secure(&address, &old, None).is_err());
    metadata(&mut secure(&address, &new, None).unwrap()).unwrap();
    metadata(&mut before).unwrap();
}

/// The parts of a DER value, and the bytes behind it.
fn der(bytes: &[u8]) -> (u8, &[u8], &[u8]) {
    let (head, length) = match bytes[1] {
        0x81 => (3, usize::from(bytes[2])),
        0x82 => (4, usize::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
        short => (2, usize::from(short)),
    };
    (bytes[0], &bytes[head..head + length], &bytes[head + length..])
}

fn sequence(content: &[u8]) -> Vec<u8> {
    let length = match u16::try_from(content.len()).unwrap().to_be_bytes() {
        [0, short @ ..0x80] => vec![short],
        [0, long] => vec![0x81, long],
        [high, low] => vec![0x82, high, low],
    };
    [&[0x30], &length[..], content].concat()
}

/// The certificate without its version and its extensions. Its signature is not good any more.
fn as_version_1(certificate: &[u8]) -> Vec<u8> {
    const VERSION: u8 = 0xa0;
    const EXTENSIONS: u8 = 0xa3;
    let (_, all, _) = der(certificate);
    let (_, mut signed, signature) = der(all);
    let mut kept = Vec::new();
    while !signed.is_empty() {
        let (tag, _, rest) = der(signed);
        if tag != VERSION && tag != EXTENSIONS {
            kept.extend_from_slice(&signed[..signed.len() - rest.len()]);
        }
        signed = rest;
    }
    sequence(&[&sequence(&kept), signature].concat())
}

/// `openssl x509 -req` makes such certificates, and the broker did not start with them.
#[test]
fn a_certificate_of_version_1_is_shown() {
    let identity = Authority::new("one").signs("broker");
    let certificate = as_version_1(identity.certificate.der());
    let base64 = base64::engine::general_purpose::STANDARD.encode(certificate);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n");
    let tls = Tls::new(pem, identity.key.serialize_pem());
    let cluster = Cluster::builder().tls(tls).start().unwrap();
    let address = cluster.addresses()[0].to_string();
    // This client is one of those that mind.
    let error = secure(&address, &Authority::new("one"), None).unwrap_err();
    assert!(error.to_string().contains("UnsupportedCertVersion"), "{error}");
}

#[test]
fn a_client_without_tls_is_told_so_in_tls_and_closed() {
    let cluster = Cluster::builder().tls(Authority::new("one").signs("broker").tls()).start();
    let cluster = cluster.unwrap();
    let mut client = Client::connect(&cluster);
    client.send(9, &MetadataRequest::default());
    let mut said = Vec::new();
    let _ = client.stream.read_to_end(&mut said);
    // An alert, which a client without TLS takes for the length of a frame.
    assert_eq!(said[..2], [0x15, 3], "{said:?}");
}

#[test]
fn a_client_with_tls_is_closed_where_there_is_none() {
    let cluster = Cluster::builder().start().unwrap();
    let address = cluster.addresses()[0].to_string();
    assert!(secure(&address, &Authority::new("one"), None).is_err());
}

#[test]
fn each_listener_has_its_own_security_and_tells_its_own_address() {
    let authority = Authority::new("one");
    let identity = authority.signs("broker");
    let sasl = || Sasl::new([Mechanism::Plain]);
    let cluster = Cluster::builder()
        .user("alice", "alice-secret")
        .listener(Listener::new("SECURE").tls(identity.tls()))
        .listener(Listener::new("KNOWN").sasl(sasl()))
        .listener(Listener::new("BOTH").tls(identity.tls()).sasl(sasl()).advertise("there", 9))
        .start()
        .unwrap();
    assert_eq!(cluster.servers_of("PLAINTEXT"), Some(cluster.bootstrap_servers()));
    assert_eq!(cluster.servers_of("NONE"), None);
    assert_eq!(cluster.servers_of("BOTH").as_deref(), Some("there:9"));

    let told = |answer: MetadataResponse| {
        let broker = &answer.brokers[0];
        format!("{}:{}", broker.host, broker.port)
    };
    let everything = MetadataRequest { topics: None, ..MetadataRequest::default() };
    let plain = cluster.bootstrap_servers();
    assert_eq!(told(Client::connect_to(&plain).call(9, &everything)), plain);
    let address = cluster.servers_of("SECURE").unwrap();
    let mut stream = secure(&address, &authority, None).unwrap();
    assert_eq!(told(metadata(&mut stream).unwrap()), address);
    let address = cluster.servers_of("KNOWN").unwrap();
    let mut client = Client::connect_to(&address);
    assert_eq!(client.log_in("alice", "alice-secret").error_code, 0);
    assert_eq!(told(client.call(9, &everything)), address);
    assert_eq!(seen(&cluster), "User:alice");
}

#[test]
fn listeners_that_make_no_sense_are_refused_at_the_start() {
    let authority = Authority::new("one");
    let identity = authority.signs("broker");
    let broken = [
        Cluster::builder().tls(Tls::new("", "")),
        Cluster::builder().tls(Tls::new(identity.certificate.pem(), "")),
        Cluster::builder()
            .tls(Tls::new(identity.certificate.pem(), authority.signs("x").key.serialize_pem())),
        Cluster::builder().tls(identity.tls().require_client_certificate(true)),
        Cluster::builder().tls(identity.tls().client_ca("nothing")),
        Cluster::builder().sasl(Sasl::new([])),
        Cluster::builder().listener(Listener::new("PLAINTEXT")),
    ];
    for builder in broken {
        let error = builder.start().unwrap_err().to_string();
        assert!(!error.contains("PRIVATE"), "{error}");
    }
    assert!(Tls::from_files("/nonexistent/a.pem", "/nonexistent/b.pem").is_err());
    let shown = format!("{:?}", identity.tls());
    assert!(!shown.contains("PRIVATE") && !shown.contains("45, 45"), "{shown}");
}
