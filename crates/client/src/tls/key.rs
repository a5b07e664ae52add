//! A private key: out of its PEM text, and out of its encryption.

use ottla_core::config::{ConfigError, Secret};
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::pkcs5::{self, EncryptionScheme, pbes2::Kdf};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use zeroize::Zeroizing;

use super::files::refuse;
use super::identity::Text;

pub(super) const PASSWORD: &str = "ssl.key.password";

/// The most rounds that are spent on a password: 16 times what is advised today.
const ROUNDS_MAX: u32 = 10_000_000;

/// The most memory that is spent on a password. OpenSSL takes 16 MiB.
const SCRYPT_BYTES_MAX: u64 = 256 << 20;

/// A key's bytes, wiped when it goes.
pub(super) struct Key {
    form: Form,
    der: Zeroizing<Vec<u8>>,
}

#[derive(Clone, Copy)]
enum Form {
    Pkcs8,
    Pkcs1,
    Sec1,
}

impl Key {
    /// For the library that signs with it.
    pub(super) fn der(&self) -> PrivateKeyDer<'_> {
        let der = self.der.as_slice();
        match self.form {
            Form::Pkcs8 => PrivatePkcs8KeyDer::from(der).into(),
            Form::Pkcs1 => PrivatePkcs1KeyDer::from(der).into(),
            Form::Sec1 => PrivateSec1KeyDer::from(der).into(),
        }
    }
}

pub(super) fn from_pkcs8(der: &[u8]) -> Key {
    Key { form: Form::Pkcs8, der: Zeroizing::new(der.to_vec()) }
}

/// The first key of a PEM text.
///
/// # Errors
/// There is none, or it is encrypted and the password is missing, wrong or of a kind that is not
/// read here.
pub(super) fn from_pem(text: &Text<'_>, password: Option<&Secret>) -> Result<Key, ConfigError> {
    let blocks = text.blocks()?;
    let Some(block) = blocks.iter().find(|block| block.is_private_key()) else {
        return Err(text.refuse("there is no private key in it"));
    };
    if block.is_traditionally_encrypted() {
        return Err(text.refuse(format!(
            "the key is encrypted in OpenSSL's old way, which protects it badly; {}",
            conversion(text)
        )));
    }
    let der = block.decode().map_err(|why| text.refuse(why))?;
    let form = match block.label {
        "PRIVATE KEY" => Form::Pkcs8,
        "RSA PRIVATE KEY" => Form::Pkcs1,
        "EC PRIVATE KEY" => Form::Sec1,
        "ENCRYPTED PRIVATE KEY" => return decrypt(text, &der, password),
        other => return Err(text.refuse(format!("a key in the form {other} is not known here"))),
    };
    Ok(Key { form, der })
}

fn conversion(text: &Text<'_>) -> String {
    let path = text.path.unwrap_or("key.pem");
    format!("convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in {path} -out {path}.pk8")
}

fn decrypt(text: &Text<'_>, der: &[u8], password: Option<&Secret>) -> Result<Key, ConfigError> {
    let place = text.path.unwrap_or(text.setting);
    let Some(password) = password else {
        return Err(refuse(PASSWORD, format!("the key in {place} is encrypted: set its password")));
    };
    let unknown = || {
        text.refuse(format!(
            "the key is damaged, or encrypted in a way that is not known here; {}",
            conversion(text)
        ))
    };
    let info = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| unknown())?;
    if !is_affordable(&info.encryption_algorithm) {
        return Err(text.refuse("opening the key would take far too much time or memory"));
    }
    match info.decrypt(password.expose()) {
        Ok(opened) => Ok(from_pkcs8(opened.as_bytes())),
        Err(pkcs8::Error::EncryptedPrivateKey(
            pkcs5::Error::NoPbes1CryptSupport | pkcs5::Error::UnsupportedAlgorithm { .. },
        )) => Err(unknown()),
        Err(_) => Err(refuse(PASSWORD, format!("it does not open the key in {place}"))),
    }
}

/// Whether a password can be tried at a cost that makes sense. The file says how much it is.
fn is_affordable(scheme: &EncryptionScheme) -> bool {
    match scheme.pbes2().map(|parameters| &parameters.kdf) {
        Some(Kdf::Pbkdf2(kdf)) => kdf.iteration_count <= ROUNDS_MAX,
        Some(Kdf::Scrypt(kdf)) => {
            let bytes = kdf
                .cost_parameter
                .checked_mul(u64::from(kdf.block_size) * 128)
                .and_then(|bytes| bytes.checked_mul(u64::from(kdf.parallelization)));
            kdf.cost_parameter > 1 && bytes.is_some_and(|bytes| bytes <= SCRYPT_BYTES_MAX)
        }
        _ => true,
    }
}
