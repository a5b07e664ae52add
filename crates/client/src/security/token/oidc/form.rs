//! What a request says: fields of a form, and who the client is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Fields as `application/x-www-form-urlencoded`.
pub(super) struct Form(Zeroizing<String>);

impl Form {
    pub(super) fn new() -> Self {
        Self(Zeroizing::new(String::new()))
    }

    pub(super) fn add(&mut self, name: &str, value: &str) {
        // A buffer that grows by itself leaves its old bytes behind.
        let room = self.0.len() + name.len() + 3 * value.len() + 2;
        let mut longer = Zeroizing::new(String::with_capacity(room));
        longer.push_str(&self.0);
        if !longer.is_empty() {
            longer.push('&');
        }
        longer.push_str(name);
        longer.push('=');
        encode(value, &mut longer);
        self.0 = longer;
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A value of a form, as WHATWG's and RFC 6749's appendix B have it.
fn encode(value: &str, into: &mut String) {
    const HEX: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    for byte in value.bytes() {
        match byte {
            b' ' => into.push('+'),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => {
                into.push(char::from(byte));
            }
            _ => {
                into.push('%');
                into.push(HEX[usize::from(byte >> 4)]);
                into.push(HEX[usize::from(byte & 15)]);
            }
        }
    }
}

/// What follows `Basic ` (RFC 7617). RFC 6749 wants id and secret encoded before; most identity
/// providers do not, so KIP-1025 leaves it to a setting.
pub(super) fn basic(id: &str, secret: &str, is_encoded: bool) -> Zeroizing<String> {
    let room = 3 * (id.len() + secret.len()) + 1;
    let mut plain = Zeroizing::new(String::with_capacity(room));
    if is_encoded {
        encode(id, &mut plain);
        plain.push(':');
        encode(secret, &mut plain);
    } else {
        plain.push_str(id);
        plain.push(':');
        plain.push_str(secret);
    }
    Zeroizing::new(STANDARD.encode(plain.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_encoded_so_that_no_value_can_add_another() {
        let mut form = Form::new();
        form.add("grant_type", "client_credentials");
        form.add("scope", "a b&c=d+é%*~");
        assert_eq!(
            form.as_str(),
            "grant_type=client_credentials&scope=a+b%26c%3Dd%2B%C3%A9%25*%7E"
        );
    }

    /// The example of RFC 7617, and KIP-1025's difference.
    #[test]
    fn id_and_secret_are_encoded_twice_only_if_that_is_wanted() {
        assert_eq!(*basic("Aladdin", "open sesame", false), "QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(*basic("a:b", "c+d", false), STANDARD.encode("a:b:c+d"));
        assert_eq!(*basic("a:b", "c+d", true), STANDARD.encode("a%3Ab:c%2Bd"));
    }
}
