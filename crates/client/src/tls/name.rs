//! What a server is called in its certificate.

use rustls::pki_types::ServerName;

/// The name or address of `server`, which is `host:port` or `[v6]:port`. A dot at its end says only
/// that the name is complete, so certificates and servers do not have it.
///
/// # Errors
/// It is no name that a certificate could have.
pub(super) fn server_name(server: &str) -> Result<ServerName<'static>, String> {
    let host = match server.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => server,
    };
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        // The zone of an address means something on this machine only (RFC 6874).
        Some(address) => address.split_once('%').map_or(address, |(address, _)| address),
        None => host.strip_suffix('.').unwrap_or(host),
    };
    ServerName::try_from(host.to_owned()).map_err(|_| {
        format!(
            "{host:?} is no name that a certificate could have; names with letters beyond ASCII \
             are written in their xn-- form"
        )
    })
}
