//! How brokers are met: in the clear or by TLS, with which credentials.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use zeroize::Zeroizing;

/// A text that is shown to nobody and wiped from memory with its last copy.
///
/// ```
/// use ottla_core::config::Secret;
///
/// let password = Secret::new("opensesame");
/// assert_eq!(format!("{password:?}"), "[hidden]");
/// assert_eq!(password.expose(), "opensesame");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text. The caller's own copy of it, if there is one, is not wiped.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// `security.protocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecurityProtocol {
    /// Anybody on the way can read and change everything.
    #[default]
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL in the clear.
    SaslPlaintext,
    /// SASL inside TLS.
    SaslSsl,
}

impl SecurityProtocol {
    /// Whether connections are encrypted.
    #[must_use]
    pub const fn uses_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// Whether the client says who it is by SASL.
    #[must_use]
    pub const fn uses_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }

    /// Kafka's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }
}

/// Reads a word that stands for one of a few things, in capitals or not.
macro_rules! words {
    ($type:ident, $expected:literal, $($word:literal => $value:ident),+ $(,)?) => {
        impl FromStr for $type {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                $(if word.eq_ignore_ascii_case($word) {
                    return Ok(Self::$value);
                })+
                Err(alloc::format!("expected {}, not {word:?}", $expected))
            }
        }
    };
}

words! {
    SecurityProtocol, "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
    "plaintext" => Plaintext, "ssl" => Ssl,
    "sasl_plaintext" => SaslPlaintext, "sasl_ssl" => SaslSsl,
}

/// How keys and certificates are kept in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreType {
    /// Text between `-----BEGIN` and `-----END` lines (KIP-651).
    Pem,
    /// What `keytool` and `openssl pkcs12` write.
    Pkcs12,
    /// Java's old format. It is known so that its error can tell how to convert it.
    Jks,
}

words! { StoreType, "PEM, PKCS12 or JKS", "pem" => Pem, "pkcs12" => Pkcs12, "jks" => Jks }

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

words! {
    TlsVersion, "TLSv1.2 or TLSv1.3 (older ones are broken)",
    "tlsv1.2" => V1_2, "tlsv1.3" => V1_3,
}

/// What TLS needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsConfig {
    /// `ssl.truststore.location`, `ssl.ca.location`: a file with the authorities to trust.
    pub truststore_location: Option<String>,
    /// `ssl.truststore.type`; told from the file's content when absent.
    pub truststore_type: Option<StoreType>,
    /// `ssl.truststore.password`.
    pub truststore_password: Option<Secret>,
    /// `ssl.truststore.certificates`, `ssl.ca.pem`: the authorities themselves, as PEM.
    pub truststore_certificates: Option<String>,
    /// `ssl.keystore.location`: a file with our key and its certificates, PKCS#12 or PEM.
    pub keystore_location: Option<String>,
    /// `ssl.keystore.type`; told from the file's content when absent.
    pub keystore_type: Option<StoreType>,
    /// `ssl.keystore.password`.
    pub keystore_password: Option<Secret>,
    /// `ssl.certificate.location`: a PEM file with our certificate and those that vouch for it.
    pub certificate_location: Option<String>,
    /// `ssl.key.location`: a PEM file with our key.
    pub key_location: Option<String>,
    /// `ssl.keystore.certificate.chain`, `ssl.certificate.pem`: as PEM.
    pub certificate_chain: Option<String>,
    /// `ssl.keystore.key`, `ssl.key.pem`: as PEM.
    pub key: Option<Secret>,
    /// `ssl.key.password`.
    pub key_password: Option<Secret>,
    /// `enable.ssl.certificate.verification`.
    pub verify_certificate: bool,
    /// `ssl.endpoint.identification.algorithm`: whether the certificate must be the host's.
    pub verify_host_name: bool,
    /// `ssl.enabled.protocols`.
    pub versions: Vec<TlsVersion>,
    /// `ssl.cipher.suites`; those of the library when empty.
    pub cipher_suites: Vec<String>,
    /// `ssl.crl.location`: a PEM file with certificates that were taken back.
    pub crl_location: Option<String>,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            truststore_location: None,
            truststore_type: None,
            truststore_password: None,
            truststore_certificates: None,
            keystore_location: None,
            keystore_type: None,
            keystore_password: None,
            certificate_location: None,
            key_location: None,
            certificate_chain: None,
            key: None,
            key_password: None,
            verify_certificate: true,
            verify_host_name: true,
            versions: [TlsVersion::V1_2, TlsVersion::V1_3].to_vec(),
            cipher_suites: Vec::new(),
            crl_location: None,
        }
    }
}

/// How the client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    /// User and password, in the clear but for TLS (RFC 4616).
    Plain,
    /// A proof of the password that does not tell it (RFC 5802, 7677).
    ScramSha256,
    /// The same with SHA-512.
    ScramSha512,
    /// A token (RFC 7628, KIP-255).
    OauthBearer,
    /// A signed request to AWS.
    AwsMskIam,
    /// Kerberos (RFC 4752).
    Gssapi,
}

words! {
    SaslMechanism,
    "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, AWS_MSK_IAM or GSSAPI",
    "plain" => Plain, "scram-sha-256" => ScramSha256, "scram-sha-512" => ScramSha512,
    "oauthbearer" => OauthBearer, "aws_msk_iam" => AwsMskIam, "gssapi" => Gssapi,
}

impl SaslMechanism {
    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OauthBearer => "OAUTHBEARER",
            Self::AwsMskIam => "AWS_MSK_IAM",
            Self::Gssapi => "GSSAPI",
        }
    }
}

impl SaslMechanism {
    /// What to look at when a broker refuses it.
    #[must_use]
    pub const fn cure(self) -> &'static str {
        match self {
            Self::Plain | Self::ScramSha256 | Self::ScramSha512 => {
                "check sasl.username and sasl.password, and that sasl.mechanism is the one that \
                 the user was made for"
            }
            Self::OauthBearer => {
                "check the token's issuer, audience, scope and time, and this machine's clock"
            }
            Self::AwsMskIam => {
                "check the AWS credentials, sasl.aws.region, the permission \
                 kafka-cluster:Connect, and this machine's clock"
            }
            Self::Gssapi => {
                "check sasl.kerberos.service.name, the ticket, and this machine's clock"
            }
        }
    }
}

/// What SASL needs to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SaslConfig {
    /// `sasl.mechanism`.
    pub mechanism: Option<SaslMechanism>,
    /// `sasl.username`.
    pub username: Option<String>,
    /// `sasl.password`.
    pub password: Option<Secret>,
    /// The user is a delegation token's id and the password its HMAC (KIP-48).
    pub delegation_token: bool,
    /// For OAUTHBEARER.
    pub oauth: OauthConfig,
    /// For AWS_MSK_IAM.
    pub aws: AwsConfig,
    /// For GSSAPI.
    pub kerberos: KerberosConfig,
    /// When tokens are replaced.
    pub refresh: RefreshConfig,
    /// `sasl.allow.plaintext.credentials`: whether a password or a token may go over a connection
    /// that is not encrypted. Absent: it may, with a warning.
    pub allow_plaintext_credentials: Option<bool>,
    /// Whose options were taken from `sasl.jaas.config`, until the settings are compared.
    pub(super) login_module: Option<super::jaas::LoginModule>,
}

/// Where tokens come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OauthMethod {
    /// From the program's own function, or made here without a signature.
    #[default]
    Default,
    /// From an identity provider.
    Oidc,
}

words! { OauthMethod, "default or oidc", "default" => Default, "oidc" => Oidc }

/// What is shown to an identity provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GrantType {
    /// An id and a secret (KIP-768).
    #[default]
    ClientCredentials,
    /// A signed assertion (RFC 7523, KIP-1139).
    JwtBearer,
}

words! {
    GrantType, "client_credentials or urn:ietf:params:oauth:grant-type:jwt-bearer",
    "client_credentials" => ClientCredentials, "jwt-bearer" => JwtBearer,
    "urn:ietf:params:oauth:grant-type:jwt-bearer" => JwtBearer,
}

/// Tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OauthConfig {
    /// `sasl.oauthbearer.method`.
    pub method: OauthMethod,
    /// `sasl.oauthbearer.token.endpoint.url`.
    pub token_endpoint_url: Option<String>,
    /// `sasl.oauthbearer.allowed.hosts`: hosts that may be asked; the URL's own when empty.
    pub allowed_hosts: Vec<String>,
    /// `sasl.oauthbearer.grant.type`.
    pub grant_type: GrantType,
    /// `sasl.oauthbearer.client.id`.
    pub client_id: Option<String>,
    /// `sasl.oauthbearer.client.secret`.
    pub client_secret: Option<Secret>,
    /// `sasl.oauthbearer.scope`.
    pub scope: Option<String>,
    /// `sasl.oauthbearer.extensions`: what the broker is told beside the token (KIP-342).
    pub extensions: Vec<(String, String)>,
    /// `sasl.oauthbearer.header.urlencode` (KIP-1025).
    pub header_urlencode: bool,
    /// `sasl.oauthbearer.assertion.*`.
    pub assertion: AssertionConfig,
    /// `https.ca.location`: a PEM file with the authorities to trust for the token's endpoint.
    pub ca_location: Option<String>,
    /// `https.ca.pem`: the authorities themselves.
    pub ca_pem: Option<String>,
    /// `enable.sasl.oauthbearer.unsecure.jwt`: make tokens without a signature.
    pub unsecured: bool,
    /// `sasl.oauthbearer.config`: what is in them, as librdkafka writes it.
    pub unsecured_config: Option<String>,
}

/// How an assertion is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AssertionAlgorithm {
    /// RSA.
    #[default]
    Rs256,
    /// The P-256 curve.
    Es256,
}

words! { AssertionAlgorithm, "RS256 or ES256", "rs256" => Rs256, "es256" => Es256 }

/// What the client asserts of itself (KIP-1139).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AssertionConfig {
    /// `sasl.oauthbearer.assertion.algorithm`.
    pub algorithm: AssertionAlgorithm,
    /// `sasl.oauthbearer.assertion.private.key.file`.
    pub private_key_file: Option<String>,
    /// `sasl.oauthbearer.assertion.private.key.pem`.
    pub private_key_pem: Option<Secret>,
    /// `sasl.oauthbearer.assertion.private.key.passphrase`.
    pub private_key_passphrase: Option<Secret>,
    /// `sasl.oauthbearer.assertion.file`: an assertion that somebody else has made.
    pub file: Option<String>,
    /// `sasl.oauthbearer.assertion.jwt.template.file`: header and claims to begin with.
    pub template_file: Option<String>,
    /// `sasl.oauthbearer.assertion.claim.aud`.
    pub audience: Option<String>,
    /// `sasl.oauthbearer.assertion.claim.iss`.
    pub issuer: Option<String>,
    /// `sasl.oauthbearer.assertion.claim.sub`.
    pub subject: Option<String>,
    /// `sasl.oauthbearer.assertion.claim.exp.seconds`.
    pub valid_for: Duration,
    /// `sasl.oauthbearer.assertion.claim.nbf.seconds`.
    pub valid_since: Duration,
    /// `sasl.oauthbearer.assertion.claim.jti.include`.
    pub has_id: bool,
}

impl Default for AssertionConfig {
    fn default() -> Self {
        Self {
            algorithm: AssertionAlgorithm::Rs256,
            private_key_file: None,
            private_key_pem: None,
            private_key_passphrase: None,
            file: None,
            template_file: None,
            audience: None,
            issuer: None,
            subject: None,
            valid_for: Duration::from_secs(300),
            valid_since: Duration::from_secs(60),
            has_id: false,
        }
    }
}

/// AWS's credentials. What is absent is taken from the environment variables that all tools of
/// AWS read, if the mechanism is `AWS_MSK_IAM`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AwsConfig {
    /// `sasl.aws.region`; the broker's name tells it when absent.
    pub region: Option<String>,
    /// `sasl.aws.access.key.id`.
    pub access_key_id: Option<String>,
    /// `sasl.aws.secret.access.key`.
    pub secret_access_key: Option<Secret>,
    /// `sasl.aws.session.token`.
    pub session_token: Option<Secret>,
}

/// Kerberos.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KerberosConfig {
    /// `sasl.kerberos.service.name`: the first part of the brokers' principal.
    pub service_name: String,
    /// `sasl.kerberos.principal`: ours; that of the credential cache when absent.
    pub principal: Option<String>,
    /// `sasl.kerberos.keytab`: a file with our key.
    pub keytab: Option<String>,
}

impl Default for KerberosConfig {
    fn default() -> Self {
        Self { service_name: "kafka".to_string(), principal: None, keytab: None }
    }
}

/// When a token that is still good is replaced, and how long its source may take.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefreshConfig {
    /// `sasl.login.refresh.window.factor`, in thousandths of a token's life.
    pub window_permille: u32,
    /// `sasl.login.refresh.window.jitter`, in thousandths.
    pub jitter_permille: u32,
    /// `sasl.login.refresh.min.period.seconds`.
    pub min_period: Duration,
    /// `sasl.login.refresh.buffer.seconds`.
    pub buffer: Duration,
    /// `sasl.login.retry.backoff.ms`.
    pub retry_backoff: Duration,
    /// `sasl.login.retry.backoff.max.ms`.
    pub retry_backoff_max: Duration,
    /// `sasl.login.connect.timeout.ms`.
    pub connect_timeout: Duration,
    /// `sasl.login.read.timeout.ms`.
    pub read_timeout: Duration,
}

impl Default for RefreshConfig {
    fn default() -> Self {
        Self {
            window_permille: 800,
            jitter_permille: 50,
            min_period: Duration::from_secs(60),
            buffer: Duration::from_secs(300),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(10),
        }
    }
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecurityConfig {
    /// `security.protocol`.
    pub protocol: SecurityProtocol,
    /// For `SSL` and `SASL_SSL`.
    pub tls: TlsConfig,
    /// For `SASL_PLAINTEXT` and `SASL_SSL`.
    pub sasl: SaslConfig,
}
