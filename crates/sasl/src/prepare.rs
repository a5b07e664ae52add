//! SASLprep, for servers that prepare names and passwords. Kafka's does not.

use alloc::string::String;

use zeroize::Zeroizing;

use crate::error::SaslError;

/// Prepares a user name or password by SASLprep (RFC 4013).
///
/// Apache Kafka hashes passwords as they are, without this, and so do its tools and clients: a
/// password that SASLprep changes only works unprepared. It is here for servers that keep to
/// the letter of RFC 5802. Of text in ASCII without control characters it changes nothing.
///
/// ```
/// // A ligature becomes letters, a soft hyphen nothing.
/// assert_eq!(&ottla_sasl::saslprep("sasl.password", "ﬁ\u{ad}sh")?[..], "fish");
/// # Ok::<(), ottla_sasl::SaslError>(())
/// ```
///
/// # Errors
/// When there are characters in it that SASLprep does not allow, or nothing is left of it.
/// `setting` says what it was.
pub fn saslprep(setting: &'static str, text: &str) -> Result<Zeroizing<String>, SaslError> {
    let problem = "has characters that SASLprep (RFC 4013) does not allow";
    let prepared =
        stringprep::saslprep(text).map_err(|_| SaslError::Setting { setting, problem })?;
    let prepared = Zeroizing::new(prepared.into_owned());
    if prepared.is_empty() {
        return Err(SaslError::Setting { setting, problem: "is empty" });
    }
    Ok(prepared)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 4013, section 3.
    /// Laws: none. Scenarios: S3.
    #[test]
    fn names_and_passwords_are_prepared_as_the_rfc_has_it() {
        for (text, prepared) in [
            ("I\u{ad}X", Some("IX")),
            ("user", Some("user")),
            ("USER", Some("USER")),
            ("\u{aa}", Some("a")),
            ("\u{2168}", Some("IX")),
            ("\u{7}", None),
            ("\u{627}1", None),
            ("a\0b", None),
            ("\u{ad}", None),
            ("e\u{301}", Some("é")),
        ] {
            let ours = saslprep("sasl.password", text).ok();
            assert_eq!(ours.as_ref().map(|text| &text[..]), prepared, "{text:?}");
        }
    }
}
