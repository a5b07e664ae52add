//! PEM: what stands between `-----BEGIN` and `-----END` (RFC 7468). Inline values may be one long
//! line, with spaces or `\n` for line ends, as files of properties have them (KIP-651).

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// The longest label that is believed. Known ones have at most 22 letters.
const LABEL_BYTES_MAX: usize = 64;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One block of a PEM text.
pub(super) struct Block<'a> {
    /// What it says that it holds, such as `CERTIFICATE`.
    pub(super) label: &'a str,
    body: &'a [u8],
}

/// Whether a text has anything of PEM in it.
pub(super) fn is_pem(text: &[u8]) -> bool {
    find(text, BEGIN).is_some()
}

/// All blocks of a text. What stands between them is skipped.
///
/// # Errors
/// A block has no end.
pub(super) fn blocks(text: &[u8]) -> Result<Vec<Block<'_>>, String> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(at) = find(rest, BEGIN) {
        rest = &rest[at + BEGIN.len()..];
        let Some(label) = label(rest) else { continue };
        rest = &rest[label.len() + DASHES.len()..];
        let cut = || format!("a {label} begins in it and does not end; is it cut short?");
        let end = find(rest, END).ok_or_else(cut)?;
        let body = &rest[..end];
        rest = &rest[end + END.len()..];
        if !rest.starts_with(label.as_bytes()) {
            return Err(cut());
        }
        blocks.push(Block { label, body });
    }
    Ok(blocks)
}

/// The label at the beginning of a text, when five dashes end it.
fn label(text: &[u8]) -> Option<&str> {
    let end = find(&text[..text.len().min(LABEL_BYTES_MAX + DASHES.len())], DASHES)?;
    let label = std::str::from_utf8(&text[..end]).ok()?;
    let is_letter = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == ' ';
    (!label.is_empty() && label.chars().all(is_letter)).then_some(label)
}

impl Block<'_> {
    /// Whether it is a private key of any kind.
    pub(super) fn is_private_key(&self) -> bool {
        self.label.ends_with("PRIVATE KEY")
    }

    /// Whether it is encrypted in the way that OpenSSL had before PKCS#8 (RFC 1421 headers).
    pub(super) fn is_traditionally_encrypted(&self) -> bool {
        find(self.body, b"Proc-Type").is_some() && find(self.body, b"ENCRYPTED").is_some()
    }

    /// The bytes that it stands for.
    ///
    /// # Errors
    /// It has letters that base64 does not have, or nothing at all.
    pub(super) fn decode(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        let mut letters = Zeroizing::new(Vec::with_capacity(self.body.len()));
        let mut body = self.body.iter().copied().peekable();
        while let Some(byte) = body.next() {
            match byte {
                b'\\' => drop(body.next_if(|next| matches!(next, b'n' | b'r'))),
                byte if byte.is_ascii_whitespace() => {}
                byte => letters.push(byte),
            }
        }
        let mut bytes = Zeroizing::new(vec![0; letters.len().div_ceil(4) * 3]);
        match BASE64.decode_slice(letters.as_slice(), &mut bytes) {
            Ok(length) if length > 0 => {
                bytes.truncate(length);
                Ok(bytes)
            }
            // The decoder's own words quote what it met, which may be of a key.
            _ => Err(format!("its {} is not base64", self.label)),
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
