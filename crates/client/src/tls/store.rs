//! Files of keys and certificates: what kind they are, and what a PKCS#12 file holds.

use std::panic::catch_unwind;

use ottla_core::config::{ConfigError, Secret, StoreType};
use p12_keystore::Pkcs12Archive;

use super::files::refuse;
use super::pem;

/// What a file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Pem,
    Pkcs12,
}

/// A file, and the settings that belong to it.
#[derive(Clone, Copy)]
pub(super) struct Store<'a> {
    /// The setting that names it.
    pub(super) setting: &'static str,
    pub(super) path: &'a str,
    pub(super) declared: Option<StoreType>,
    /// The setting with its password.
    pub(super) password_setting: &'static str,
    pub(super) password: Option<&'a Secret>,
}

impl Store<'_> {
    /// Tells what it is from its first bytes. What the settings say of it must be true, except that
    /// Java calls a PKCS#12 file JKS as well.
    ///
    /// # Errors
    /// It is a kind that is not read here, or not the one that the settings say.
    pub(super) fn kind(&self, bytes: &[u8]) -> Result<Kind, ConfigError> {
        let Self { setting, path, .. } = self;
        if bytes.is_empty() {
            return Err(refuse(setting, format!("{path} is empty")));
        }
        let kind = match bytes {
            [0xfe, 0xed, 0xfe, 0xed, ..] | [0xce, 0xce, 0xce, 0xce, ..] => {
                return Err(refuse(
                    setting,
                    format!(
                        "{path} is in Java's old format; convert it: keytool -importkeystore \
                         -srckeystore {path} -destkeystore {path}.p12 -deststoretype PKCS12"
                    ),
                ));
            }
            bytes if pem::is_pem(bytes) => Kind::Pem,
            bytes if is_bare_certificate(bytes) => {
                return Err(refuse(
                    setting,
                    format!(
                        "{path} is a certificate in DER form; convert it: openssl x509 -inform \
                         der -in {path} -out {path}.pem"
                    ),
                ));
            }
            [0x30, ..] => Kind::Pkcs12,
            _ => {
                let why = format!("{path} is neither PEM nor PKCS#12");
                return Err(refuse(setting, why));
            }
        };
        match (self.declared, kind) {
            (Some(StoreType::Pem), Kind::Pkcs12) => Err(self.contradicts("PKCS#12, not PEM")),
            (Some(StoreType::Pkcs12 | StoreType::Jks), Kind::Pem) => {
                Err(self.contradicts("PEM, not what its type says"))
            }
            _ => Ok(kind),
        }
    }

    fn contradicts(&self, what: &str) -> ConfigError {
        let key = self.setting.replace(".location", ".type");
        refuse(&key, format!("{} is {what}: leave the type out, or correct it", self.path))
    }

    /// Opens a PKCS#12 file. What keytool and openssl write is read, with old ciphers as well.
    ///
    /// # Errors
    /// The password is missing or wrong, or the file is damaged.
    pub(super) fn open(&self, bytes: &[u8]) -> Result<Pkcs12Archive, ConfigError> {
        let Self { path, password_setting, .. } = self;
        let password = self.password.map_or("", Secret::expose);
        // The reader panics at some numbers that a damaged file may have, such as a cost of 0.
        let opened = catch_unwind(|| Pkcs12Archive::from_pkcs12(bytes, password));
        let opened = opened
            .map_err(|_| refuse(self.setting, format!("{path} is damaged: it makes no sense")))?;
        opened.map_err(|error| {
            // An error of the reader may quote bytes; its kind is enough.
            use p12_keystore::error::Error;
            let is_password = matches!(error, Error::MacError(_) | Error::UnpadError);
            match (&error, self.password) {
                (Error::UnsupportedEncryptionScheme | Error::UnsupportedMacAlgorithm, _) => refuse(
                    self.setting,
                    format!("{path} is encrypted in a way that is not known here"),
                ),
                (_, None) => {
                    let why = format!("{path} has a password: set {password_setting}");
                    refuse(password_setting, why)
                }
                (_, Some(_)) if is_password => {
                    refuse(password_setting, format!("it does not open {path}"))
                }
                (_, Some(_)) => {
                    let why = format!("it does not open {path}, or that file is damaged");
                    refuse(password_setting, why)
                }
            }
        })
    }
}

/// Whether the bytes are a certificate by itself: a sequence that begins with another, which a
/// PKCS#12 file does not (it begins with its version).
fn is_bare_certificate(bytes: &[u8]) -> bool {
    let header = match bytes {
        [0x30, 0..=0x7f, ..] => 2,
        [0x30, 0x81, ..] => 3,
        [0x30, 0x82, ..] => 4,
        [0x30, 0x83, ..] => 5,
        _ => return false,
    };
    bytes.get(header) == Some(&0x30)
}
