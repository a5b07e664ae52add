//! The functions of RFC 2744 that are used, found in the system's library. All `unsafe` that has to
//! do with finding them is here.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

use libloading::Library;

use crate::GssError;

/// MIT Kerberos; Linux distributions and the BSDs have it under this name.
const NAMES: [&str; 2] = ["libgssapi_krb5.so.2", "libgssapi_krb5.so"];

/// Bytes with a length. The library's own are released by it.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Buffer {
    pub(crate) length: usize,
    pub(crate) value: *mut c_void,
}

impl Buffer {
    pub(crate) const EMPTY: Self = Self { length: 0, value: std::ptr::null_mut() };

    /// Bytes for the library to look at while they are borrowed.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { length: bytes.len(), value: bytes.as_ptr().cast_mut().cast() }
    }
}

/// An object identifier.
#[repr(C)]
pub(crate) struct Oid {
    pub(crate) length: u32,
    pub(crate) elements: *const u8,
}

// SAFETY: it points to bytes of the program itself, which never change.
unsafe impl Sync for Oid {}

impl Oid {
    const fn new(bytes: &'static [u8]) -> Self {
        Self { length: bytes.len() as u32, elements: bytes.as_ptr() }
    }
}

/// `service@host` (1.2.840.113554.1.2.1.4).
pub(crate) static HOST_BASED_SERVICE: Oid =
    Oid::new(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x01, 0x04]);
/// `name@REALM` (1.2.840.113554.1.2.2.1).
pub(crate) static KERBEROS_NAME: Oid =
    Oid::new(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02, 0x01]);
/// Kerberos 5 (1.2.840.113554.1.2.2).
pub(crate) static KERBEROS: Oid = Oid::new(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02]);

/// Several object identifiers.
#[repr(C)]
pub(crate) struct OidSet {
    pub(crate) count: usize,
    pub(crate) elements: *const Oid,
}

/// Where credentials are kept: a name and its value, such as `client_keytab` and a path.
#[repr(C)]
pub(crate) struct StoreEntry {
    pub(crate) key: *const i8,
    pub(crate) value: *const i8,
}

/// Several of them.
#[repr(C)]
pub(crate) struct Store {
    pub(crate) count: u32,
    pub(crate) elements: *const StoreEntry,
}

/// A name, a credential or a context of the library's.
pub(crate) type Handle = *mut c_void;
type Minor = *mut u32;

/// The functions.
pub(crate) struct Gss {
    pub(crate) import_name:
        unsafe extern "C" fn(Minor, *const Buffer, *const Oid, *mut Handle) -> u32,
    pub(crate) release_name: unsafe extern "C" fn(Minor, *mut Handle) -> u32,
    pub(crate) acquire_cred_from: unsafe extern "C" fn(
        Minor,
        Handle,
        u32,
        *const OidSet,
        c_int,
        *const Store,
        *mut Handle,
        *mut *mut OidSet,
        *mut u32,
    ) -> u32,
    pub(crate) release_cred: unsafe extern "C" fn(Minor, *mut Handle) -> u32,
    pub(crate) init_sec_context: unsafe extern "C" fn(
        Minor,
        Handle,
        *mut Handle,
        Handle,
        *const Oid,
        u32,
        u32,
        *const c_void,
        *const Buffer,
        *mut *const Oid,
        *mut Buffer,
        *mut u32,
        *mut u32,
    ) -> u32,
    pub(crate) delete_sec_context: unsafe extern "C" fn(Minor, *mut Handle, *mut Buffer) -> u32,
    pub(crate) wrap: unsafe extern "C" fn(
        Minor,
        Handle,
        c_int,
        u32,
        *const Buffer,
        *mut c_int,
        *mut Buffer,
    ) -> u32,
    pub(crate) unwrap: unsafe extern "C" fn(
        Minor,
        Handle,
        *const Buffer,
        *mut Buffer,
        *mut c_int,
        *mut u32,
    ) -> u32,
    pub(crate) display_status:
        unsafe extern "C" fn(Minor, u32, c_int, *const Oid, *mut u32, *mut Buffer) -> u32,
    pub(crate) release_buffer: unsafe extern "C" fn(Minor, *mut Buffer) -> u32,
}

/// The library, loaded once and kept.
///
/// # Errors
/// It is not there.
pub(crate) fn gss() -> Result<&'static Gss, GssError> {
    static LOADED: OnceLock<Result<Gss, GssError>> = OnceLock::new();
    LOADED.get_or_init(load).as_ref().map_err(Clone::clone)
}

fn load() -> Result<Gss, GssError> {
    if cfg!(any(not(unix), target_vendor = "apple")) {
        let why = "sasl.mechanism=GSSAPI is not possible on this system yet: use a SCRAM mechanism";
        return Err(GssError(why.to_owned()));
    }
    let mut why = String::new();
    for name in NAMES {
        // SAFETY: it is the library that the system has under this name; what it does when it is
        // loaded, it does for every program with Kerberos.
        match unsafe { Library::new(name) } {
            Ok(library) => return functions(Box::leak(Box::new(library))),
            Err(error) => why = error.to_string(),
        }
    }
    Err(GssError(format!(
        "sasl.mechanism=GSSAPI needs the system's Kerberos library, and it is not there ({why}): \
         install libgssapi-krb5-2 (Debian) or krb5-libs (Fedora)"
    )))
}

fn functions(library: &'static Library) -> Result<Gss, GssError> {
    macro_rules! find {
        ($name:literal) => {
            // SAFETY: the signature of the field it goes into is the one that RFC 2744, and for
            // `gss_acquire_cred_from` the header of MIT Kerberos, give the function of this name.
            // The library is never unloaded.
            *unsafe { library.get($name.as_bytes()) }.map_err(|error| {
                GssError(format!("the system's Kerberos library is too old: {error}"))
            })?
        };
    }
    Ok(Gss {
        import_name: find!("gss_import_name"),
        release_name: find!("gss_release_name"),
        acquire_cred_from: find!("gss_acquire_cred_from"),
        release_cred: find!("gss_release_cred"),
        init_sec_context: find!("gss_init_sec_context"),
        delete_sec_context: find!("gss_delete_sec_context"),
        wrap: find!("gss_wrap"),
        unwrap: find!("gss_unwrap"),
        display_status: find!("gss_display_status"),
        release_buffer: find!("gss_release_buffer"),
    })
}
