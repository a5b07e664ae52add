//! Where an identity provider hands out tokens.

use std::fmt;

use ottla_core::config::{ConfigError, OauthConfig, https_host};

use super::super::source::refuse;

const URL: &str = "sasl.oauthbearer.token.endpoint.url";

/// An `https` URL, taken apart.
pub(super) struct Endpoint {
    url: String,
    /// Without the dot that may end a name.
    host: String,
    /// Host and port, if one is set, as they stand in the URL.
    authority: String,
    port: u16,
    /// Path and query.
    target: String,
}

impl Endpoint {
    /// # Errors
    /// There is no URL, or it is not `https`, or not of a host that is allowed.
    pub(super) fn new(oauth: &OauthConfig) -> Result<Self, ConfigError> {
        let url = oauth.token_endpoint_url.as_deref().unwrap_or_default();
        let host = https_host(url).map_err(|why| refuse(URL, why))?;
        let same = |allowed: &String| allowed.trim_end_matches('.').eq_ignore_ascii_case(host);
        if !oauth.allowed_hosts.is_empty() && !oauth.allowed_hosts.iter().any(same) {
            let why = format!("the host {host} is not among sasl.oauthbearer.allowed.hosts");
            return Err(refuse(URL, why));
        }
        let rest = &url["https://".len()..];
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self {
            url: url.to_owned(),
            host: host.to_owned(),
            authority: authority.to_owned(),
            port: port.unwrap_or(443),
            target: format!("{slash}{target}"),
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// `host:port`, to connect to.
    pub(super) fn server(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    pub(super) fn target(&self) -> &str {
        &self.target
    }
}

impl fmt::Display for Endpoint {
    /// Without its query, which may hold a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "https://{}{path}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Endpoint {
        let mut oauth = OauthConfig::default();
        oauth.token_endpoint_url = Some(url.to_owned());
        Endpoint::new(&oauth).expect(url)
    }

    #[test]
    fn a_url_is_taken_apart_into_where_to_connect_and_what_to_ask_for() {
        let parts = |url: &str| {
            let it = endpoint(url);
            (it.server(), it.authority().to_owned(), it.target().to_owned(), it.to_string())
        };
        let own = |a: &str, b: &str, c: &str, d: &str| (a.into(), b.into(), c.into(), d.into());
        assert_eq!(
            parts("https://idp.example/a/b?key=x"),
            own("idp.example:443", "idp.example", "/a/b?key=x", "https://idp.example/a/b")
        );
        assert_eq!(
            parts("HTTPS://IDP.example.:8443?x"),
            own("IDP.example:8443", "IDP.example.:8443", "/?x", "https://IDP.example.:8443/")
        );
        assert_eq!(parts("https://[::1]/t"), own("[::1]:443", "[::1]", "/t", "https://[::1]/t"));
        assert_eq!(endpoint("https://[::1]:9/t").server(), "[::1]:9");
    }
}
