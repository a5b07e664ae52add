//! One exchange: the context is made, then the two agree to use it for nothing but this.

use std::ffi::CString;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ptr;

use crate::GssError;
use crate::library::{
    Buffer, Gss, HOST_BASED_SERVICE, Handle, KERBEROS, KERBEROS_NAME, Oid, OidSet, Store,
    StoreEntry, gss,
};

/// The bits of a result in which errors are; the others are remarks.
const ERRORS: u32 = 0xffff_0000;
/// The remark that another token is to come.
const CONTINUE_NEEDED: u32 = 1;
/// The broker proves who it is, order is kept, messages are signed.
const FLAGS: u32 = 2 | 8 | 32;
/// Credentials to begin a context with.
const INITIATE: i32 = 1;
/// The layer under which nothing is signed or encrypted after the exchange.
const NO_LAYER: u8 = 1;
/// What a broker may send in one message.
const MAX_CHALLENGE_BYTES: usize = 64 << 10;

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this, which may be empty, and come back with the answer.
    Respond(Vec<u8>),
    /// Nothing: each side knows who the other is.
    Complete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The context is being made.
    Context,
    /// The broker says which layers there are.
    Layers,
    /// The broker has the last word.
    Done,
    Over,
}

/// An exchange that was begun.
pub struct Exchange {
    gss: &'static Gss,
    target: Handle,
    credential: Handle,
    context: Handle,
    stage: Stage,
    /// The broker's principal, for errors.
    service: String,
}

// SAFETY: its handles are its own; the library may be called for them by any thread, by one at a
// time, which `&mut self` makes sure of.
unsafe impl Send for Exchange {}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("service", &self.service).finish_non_exhaustive()
    }
}

impl Exchange {
    /// Prepares to prove who we are to `service` on `host`, as `principal`, with a ticket from
    /// the credential cache, or from the keytab if one is given.
    ///
    /// # Errors
    /// The system has no Kerberos library, or there are no credentials.
    pub fn begin(
        service: &str,
        host: &str,
        principal: Option<&str>,
        keytab: Option<&str>,
    ) -> Result<Self, GssError> {
        let gss = gss()?;
        let service = format!("{service}@{}", host.trim_end_matches('.').to_lowercase());
        let mut exchange = Self {
            gss,
            target: import(gss, &service, &HOST_BASED_SERVICE)?,
            credential: ptr::null_mut(),
            context: ptr::null_mut(),
            stage: Stage::Context,
            service,
        };
        if principal.is_some() || keytab.is_some() {
            exchange.credential = acquire(gss, principal, keytab)?;
        }
        Ok(exchange)
    }

    /// Takes the broker's next message and says what is to be done. The first call takes no bytes.
    ///
    /// # Errors
    /// One side does not accept the other, or there is no ticket. The exchange is over then.
    pub fn step(&mut self, challenge: &[u8]) -> Result<Step, GssError> {
        if challenge.len() > MAX_CHALLENGE_BYTES {
            self.stage = Stage::Over;
            let length = challenge.len();
            return Err(GssError(format!("the broker's GSSAPI message has {length} bytes")));
        }
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Context => self.go_on(challenge),
            Stage::Layers => self.choose_no_layer(challenge),
            Stage::Done if challenge.is_empty() => Ok(Step::Complete),
            Stage::Done | Stage::Over => {
                Err(GssError("the broker sent a GSSAPI message where none was due".to_owned()))
            }
        }
    }

    fn go_on(&mut self, challenge: &[u8]) -> Result<Step, GssError> {
        let (mut minor, mut token) = (0, Buffer::EMPTY);
        let given = Buffer::of(challenge);
        // SAFETY: all pointers are to values that live through the call, or null where RFC 2744
        // allows it; the handles are the library's own, or null.
        let major = unsafe {
            (self.gss.init_sec_context)(
                &raw mut minor,
                self.credential,
                &raw mut self.context,
                self.target,
                &raw const KERBEROS,
                FLAGS,
                0,
                ptr::null(),
                if challenge.is_empty() { ptr::null() } else { &raw const given },
                ptr::null_mut(),
                &raw mut token,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        let token = take(self.gss, &mut token);
        self.check(major, minor)?;
        self.stage = if major & CONTINUE_NEEDED == 0 { Stage::Layers } else { Stage::Context };
        Ok(Step::Respond(token))
    }

    /// The broker names the layers that it offers; that there be none is always among them for
    /// Kafka, which has TLS for that.
    fn choose_no_layer(&mut self, challenge: &[u8]) -> Result<Step, GssError> {
        let (mut minor, mut told) = (0, Buffer::EMPTY);
        let given = Buffer::of(challenge);
        // SAFETY: as above.
        let major = unsafe {
            (self.gss.unwrap)(
                &raw mut minor,
                self.context,
                &raw const given,
                &raw mut told,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        let offer = take(self.gss, &mut told);
        self.check(major, minor)?;
        if offer.len() != 4 || offer[0] & NO_LAYER == 0 {
            return Err(GssError(
                "the broker wants GSSAPI to encrypt what follows, which Kafka does not do"
                    .to_owned(),
            ));
        }
        let (choice, mut wrapped) = ([NO_LAYER, 0, 0, 0], Buffer::EMPTY);
        let given = Buffer::of(&choice);
        // SAFETY: as above.
        let major = unsafe {
            (self.gss.wrap)(
                &raw mut minor,
                self.context,
                0,
                0,
                &raw const given,
                ptr::null_mut(),
                &raw mut wrapped,
            )
        };
        let wrapped = take(self.gss, &mut wrapped);
        self.check(major, minor)?;
        self.stage = Stage::Done;
        Ok(Step::Respond(wrapped))
    }

    fn check(&self, major: u32, minor: u32) -> Result<(), GssError> {
        if major & ERRORS == 0 {
            return Ok(());
        }
        let why = explain(self.gss, major, minor);
        let service = self.service.replacen('@', "/", 1);
        Err(GssError(format!(
            "Kerberos for {service}: {why}; check the ticket (klist, kinit) or \
             sasl.kerberos.keytab, sasl.kerberos.service.name, the broker's host name, and this \
             machine's clock"
        )))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: each handle is null or the library's own, and is not used after this.
        unsafe {
            if !self.context.is_null() {
                (self.gss.delete_sec_context)(
                    &raw mut minor,
                    &raw mut self.context,
                    ptr::null_mut(),
                );
            }
            if !self.credential.is_null() {
                (self.gss.release_cred)(&raw mut minor, &raw mut self.credential);
            }
            if !self.target.is_null() {
                (self.gss.release_name)(&raw mut minor, &raw mut self.target);
            }
        }
    }
}

fn import(gss: &Gss, name: &str, kind: &Oid) -> Result<Handle, GssError> {
    let (mut minor, mut handle) = (0, ptr::null_mut());
    let given = Buffer::of(name.as_bytes());
    // SAFETY: the pointers are to values that live through the call.
    let major = unsafe {
        (gss.import_name)(&raw mut minor, &raw const given, ptr::from_ref(kind), &raw mut handle)
    };
    if major & ERRORS == 0 {
        return Ok(handle);
    }
    Err(GssError(format!("{name} is no Kerberos name: {}", explain(gss, major, minor))))
}

/// Credentials of a principal, or by a keytab. What a keytab gets is kept in memory, and not in
/// the cache of whoever runs the program.
fn acquire(gss: &Gss, principal: Option<&str>, keytab: Option<&str>) -> Result<Handle, GssError> {
    let mut name = match principal {
        Some(principal) => import(gss, principal, &KERBEROS_NAME)?,
        None => ptr::null_mut(),
    };
    let path = keytab.map(CString::new).transpose();
    let path = path.map_err(|_| GssError("sasl.kerberos.keytab holds a zero byte".to_owned()))?;
    // Each of its own, so that two principals of one program do not meet.
    let mut hasher = DefaultHasher::new();
    (principal, keytab).hash(&mut hasher);
    let cache = format!("MEMORY:ottla-{:x}", hasher.finish());
    let cache = CString::new(cache).unwrap_or_default();
    let mut entries = Vec::new();
    if let Some(path) = &path {
        entries.push(StoreEntry {
            key: c"client_keytab".as_ptr().cast(),
            value: path.as_ptr().cast(),
        });
        entries.push(StoreEntry { key: c"ccache".as_ptr().cast(), value: cache.as_ptr().cast() });
    }
    let store = Store { count: entries.len() as u32, elements: entries.as_ptr() };
    let mechanisms = OidSet { count: 1, elements: &raw const KERBEROS };
    let (mut minor, mut credential) = (0, ptr::null_mut());
    // SAFETY: the pointers are to values that live through the call, or null where that is
    // allowed; `entries` holds as many as `store` says.
    let major = unsafe {
        (gss.acquire_cred_from)(
            &raw mut minor,
            name,
            0,
            &raw const mechanisms,
            INITIATE,
            if entries.is_empty() { ptr::null() } else { &raw const store },
            &raw mut credential,
            ptr::null_mut(),
            ptr::null_mut(),
        )
    };
    let why = (major & ERRORS != 0).then(|| explain(gss, major, minor));
    if !name.is_null() {
        // SAFETY: it is the library's own, and is not used after this.
        unsafe { (gss.release_name)(&raw mut minor, &raw mut name) };
    }
    match why {
        None => Ok(credential),
        Some(why) => Err(GssError(format!(
            "there are no Kerberos credentials for {} in {}: {why}; check \
             sasl.kerberos.principal and sasl.kerberos.keytab",
            principal.unwrap_or("anybody"),
            keytab.unwrap_or("the ticket cache"),
        ))),
    }
}

/// Copies bytes of the library's, and gives them back to it.
fn take(gss: &Gss, buffer: &mut Buffer) -> Vec<u8> {
    if buffer.value.is_null() {
        return Vec::new();
    }
    // SAFETY: the library says that so many bytes are there.
    let bytes = unsafe { std::slice::from_raw_parts(buffer.value.cast::<u8>(), buffer.length) };
    let bytes = bytes.to_vec();
    let mut minor = 0;
    // SAFETY: it is the library's own, and is not used after this.
    unsafe { (gss.release_buffer)(&raw mut minor, ptr::from_mut(buffer)) };
    bytes
}

/// The library's words for a result: those of Kerberos, and in want of them its own.
fn explain(gss: &Gss, major: u32, minor: u32) -> String {
    let words = |code, kind| {
        let (mut ignored, mut more, mut text) = (0, 0, Buffer::EMPTY);
        // SAFETY: the pointers are to values that live through the call.
        unsafe {
            (gss.display_status)(
                &raw mut ignored,
                code,
                kind,
                &raw const KERBEROS,
                &raw mut more,
                &raw mut text,
            );
        }
        let text = String::from_utf8_lossy(&take(gss, &mut text)).into_owned();
        let shown: String = text.chars().filter(|c| !c.is_control()).take(300).collect();
        shown
    };
    let (general, special) = (words(major, 1), words(minor, 2));
    if minor == 0 || special.is_empty() { general } else { special }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a machine with the library there is no ticket for such a broker; on one without, that
    /// is said.
    #[test]
    fn without_a_ticket_or_a_library_the_error_says_what_to_do() {
        let begun = Exchange::begin("kafka", "broker.invalid", None, Some("/nowhere/keytab"));
        let error = match begun {
            Ok(mut exchange) => exchange.step(b"").expect_err("there is no ticket"),
            Err(error) => error,
        };
        let told = error.to_string();
        let cures = ["install libgssapi-krb5-2", "sasl.kerberos.keytab"];
        assert!(cures.iter().any(|cure| told.contains(cure)), "{told}");
    }

    #[test]
    fn a_message_of_any_length_is_refused_before_the_library_sees_it() {
        if let Ok(mut exchange) = Exchange::begin("kafka", "broker.invalid", None, None) {
            assert!(exchange.step(&vec![0; 1 << 20]).is_err());
            assert!(exchange.step(b"").is_err(), "and it is over then");
        }
    }
}
