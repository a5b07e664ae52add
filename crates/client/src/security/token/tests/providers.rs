use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ottla_core::config::{ConfigBuilder, ConfigError};

use super::provider::{Answer, Provider, json};
use super::*;

/// Settings for a provider, by which it is asked once and not again.
fn config(provider: &Provider, more: &[(&str, &str)]) -> SaslConfig {
    let url = provider.url();
    let base = [
        ("sasl.oauthbearer.token.endpoint.url", &*url),
        ("sasl.oauthbearer.client.id", "my-id"),
        ("sasl.oauthbearer.client.secret", CANARY),
        ("https.ca.pem", &provider.authority),
        ("sasl.login.retry.backoff.ms", "1"),
    ];
    settings(&[&base, more].concat())
}

fn tokens_of(provider: &Provider, more: &[(&str, &str)]) -> Tokens {
    tokens_with(&config(provider, more), None, &Still::default()).expect("tokens")
}

/// Why there is no token. It is asked for by a clock that stands still, so a source that may do
/// better is asked for ever: `asked` says how often its script is good for a failure.
async fn refused(answer: Answer) -> (String, usize) {
    let provider = Provider::start([answer]).await;
    let error = tokens_of(&provider, &[]).get().await.expect_err("no token").to_string();
    assert!(!error.contains(CANARY), "{error}");
    assert!(error.contains("localhost"), "{error}");
    (error, provider.requests().len())
}

/// A JSON Web Token with these claims.
fn jwt(claims: &str) -> String {
    let [header, claims] = ["{}", claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("{header}.{claims}.c2ln")
}

#[tokio::test]
async fn a_provider_is_shown_id_and_secret_and_its_token_is_taken() {
    let value = jwt(r#"{"sub":"amara","iat":1,"exp":3601}"#);
    let answer = json(&format!(r#"{{"access_token":"{value}","expires_in":3599,"x":1}}"#));
    let provider = Provider::start([answer]).await;
    let tokens = tokens_of(
        &provider,
        &[("sasl.oauthbearer.scope", "a b"), ("sasl.oauthbearer.extensions", "logicalCluster=l")],
    );
    let token = tokens.get().await.expect("a token");
    assert_eq!(token.value(), value);
    assert_eq!(token.principal.as_deref(), Some("amara"));
    assert_eq!(token.expires_at, Still::default().wall() + Duration::from_secs(3599));
    assert_eq!(token.extensions(), [("logicalCluster".to_owned(), "l".to_owned())]);
    let requests = provider.requests();
    let (head, body) = requests[0].split_once("\r\n\r\n").expect("head and body");
    assert!(head.starts_with("POST /token HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nHost: localhost:{}\r\n", provider.port)), "{head}");
    let basic = STANDARD.encode(format!("my-id:{CANARY}"));
    assert!(head.contains(&format!("\r\nAuthorization: Basic {basic}\r\n")), "{head}");
    assert_eq!(body, "grant_type=client_credentials&scope=a+b");
    assert_eq!(requests.len(), 1);
}

/// Java looks for an id_token, too.
#[tokio::test]
async fn how_long_a_token_is_good_for_is_told_by_it_or_beside_it() {
    for (answer, life_s) in [
        (format!(r#"{{"access_token":"opaque","expires_in":{}}}"#, 60), 60),
        (r#"{"access_token":"opaque","expires_in":"60"}"#.to_owned(), 60),
        // A clock that is wrong by years does not matter where there are differences.
        (format!(r#"{{"access_token":"{}","expires_in":99}}"#, jwt(r#"{"iat":5,"exp":65}"#)), 60),
        (format!(r#"{{"access_token":"{}"}}"#, jwt(&format!(r#"{{"exp":{}}}"#, START_S + 60))), 60),
        (r#"{"id_token":"opaque","expires_in":60}"#.to_owned(), 60),
        (r#"{"access_token":"opaque","expires_in":1e300}"#.to_owned(), 10 * 366 * 86_400),
    ] {
        let provider = Provider::start([json(&answer)]).await;
        let token = tokens_of(&provider, &[]).get().await.expect(&answer);
        let life = token.expires_at.duration_since(Still::default().wall()).expect("good");
        assert_eq!(life.as_secs(), life_s, "{answer}");
    }
}

/// Laws: none. Scenarios: S8.
#[tokio::test]
async fn a_token_that_has_expired_or_does_not_say_when_is_refused() {
    let old = jwt(&format!(r#"{{"exp":{}}}"#, START_S - 1));
    for (answer, words) in [
        (format!(r#"{{"access_token":"{old}"}}"#), "are the clocks right"),
        (r#"{"access_token":"o","expires_in":-1}"#.to_owned(), "are the clocks right"),
        (r#"{"access_token":"o","expires_in":0}"#.to_owned(), "has expired 0 s ago"),
        (r#"{"access_token":"o"}"#.to_owned(), "does not say how long"),
        (r#"{"access_token":"a.b.c"}"#.to_owned(), "does not say how long"),
        (r#"{"access_token":"o\r\nX: y","expires_in":9}"#.to_owned(), "no bearer token has"),
        (r#"{"access_token":"","expires_in":9}"#.to_owned(), "no access_token"),
        (r#"{"access_token":7,"expires_in":9}"#.to_owned(), "no access_token"),
        (r#"["access_token"]"#.to_owned(), "no JSON object"),
        ("<html>Sign in</html>".to_owned(), "no JSON object"),
        ("[".repeat(60_000), "no JSON object"),
    ] {
        let (error, asked) = refused(json(&answer)).await;
        assert!(error.contains(words), "{error}");
        assert_eq!(asked, 1, "{error}");
    }
}

/// Laws: L9. Scenarios: S8.
#[tokio::test]
async fn a_provider_that_is_busy_or_broken_is_asked_again() {
    let good = json(r#"{"access_token":"good","expires_in":60}"#);
    let said = |status| Answer::Says(status, "{}".to_owned());
    let provider = Provider::start([
        said("429 Too Many Requests\r\nRetry-After: 0"),
        said("500 Internal Server Error"),
        said("503 Service Unavailable"),
        Answer::Cut(b"HTTP/1.1 200 OK\r\n\r\n{\"access_token\":\"cut".to_vec()),
        Answer::Bytes(Vec::new()),
        Answer::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}".to_vec()),
        good,
    ])
    .await;
    let token = tokens_of(&provider, &[]).get().await.expect("at last");
    assert_eq!(token.value(), "good");
    assert_eq!(provider.requests().len(), 7);
}

/// Laws: L9. Scenarios: S8.
#[tokio::test]
async fn a_provider_that_is_busy_for_longer_than_a_connection_waits_is_an_error() {
    let busy = Answer::Says("429 Too Many Requests\r\nRetry-After: 3600", String::new());
    let (error, asked) = refused(busy).await;
    assert!(error.contains("status 429") && error.contains("patience"), "{error}");
    assert_eq!(asked, 1);
}

/// Laws: none. Scenarios: S8, S13.
#[tokio::test]
async fn what_a_provider_says_no_to_is_not_asked_again_and_told_in_its_words() {
    let words =
        format!(r#"{{"error":"invalid_client","error_description":"no {CANARY}\u001b[2J"}}"#);
    for (status, body, told) in [
        ("401 Unauthorized", &*words, "says invalid_client: no [hidden][2J: check sasl.oauthb"),
        (
            "400 Bad Request",
            r#"{"error":"invalid_scope"}"#,
            "invalid_scope: check sasl.oauthbearer.scope",
        ),
        ("400 Bad Request", r#"{"error":"invalid_grant"}"#, "this machine's clock"),
        ("404 Not Found", "<html>", "(status 404): check the path in"),
        ("403 Forbidden", "", "(status 403)"),
        ("204 No Content", "", "(status 204)"),
    ] {
        let (error, asked) = refused(Answer::Says(status, body.to_owned())).await;
        assert!(error.contains(told), "{error}");
        assert_eq!(asked, 1, "{error}");
    }
    let long = format!(r#"{{"error":"{0}","error_description":"{0}"}}"#, "x".repeat(9000));
    let (error, _) = refused(Answer::Says("400 Bad Request", long)).await;
    assert!(error.len() < 800, "{error}");
}

/// CVE-2025-27817: a redirect could lead to a file of the machine, or into its network.
/// Laws: none. Scenarios: S8.
#[tokio::test]
async fn a_redirect_is_not_followed_and_its_host_is_told() {
    let elsewhere = Provider::start([json(r#"{"access_token":"evil","expires_in":60}"#)]).await;
    let other = format!("https://localhost:{}/token?code=secret", elsewhere.port);
    for (status, location, told) in [
        ("302 Found", "file:///etc/passwd", "to no host by file"),
        ("301 Moved", "http://169.254.169.254/latest/meta-data", "to 169.254.169.254 by http"),
        ("307 Temporary Redirect", &*other, "to localhost:"),
        ("308 Permanent Redirect", "//evil.example/x", "sends us elsewhere"),
        ("302 Found", "https://me:pw@evil.example\\x", "to evil.example by https"),
        ("303 See Other", "", "sends us elsewhere"),
    ] {
        let answer = format!("HTTP/1.1 {status}\r\nLocation: {location}\r\n\r\n").into_bytes();
        let (error, asked) = refused(Answer::Bytes(answer)).await;
        assert!(error.contains(told) && error.contains("not followed"), "{error}");
        assert!(!error.contains("secret") && !error.contains("pw"), "{error}");
        assert_eq!(asked, 1);
    }
    assert_eq!(elsewhere.requests(), [""; 0]);
}

/// Laws: L11. Scenarios: S8.
#[tokio::test]
async fn an_answer_of_10_mib_is_not_read_to_its_end() {
    let body = "x".repeat(10 << 20);
    for framing in [format!("Content-Length: {}\r\n", body.len()), String::new()] {
        let answer = format!("HTTP/1.1 200 OK\r\n{framing}\r\n{body}").into_bytes();
        let (error, asked) = refused(Answer::Bytes(answer)).await;
        assert!(error.contains("more than 64 KiB"), "{error}");
        assert_eq!(asked, 1);
    }
}

/// Laws: L9. Scenarios: S8.
#[tokio::test]
async fn a_provider_that_says_nothing_is_given_up_after_the_time_that_is_set() {
    let provider = Provider::start([Answer::Silent]).await;
    let brief = [("sasl.login.read.timeout.ms", "20"), ("sasl.login.retry.backoff.max.ms", "1")];
    let clock = Ticking::default();
    let config = config(&provider, &brief);
    let tokens = Tokens::with_clock(&config, None, Box::new(clock), PATIENCE).expect("tokens");
    let error = tokens.get().await.expect_err("silence").to_string();
    assert!(error.contains("took longer than sasl.login.read.timeout.ms=20"), "{error}");
}

/// A clock that goes on by a second whenever somebody looks at it.
#[derive(Default)]
struct Ticking(Still);

impl Clock for Ticking {
    fn wall(&self) -> SystemTime {
        self.0.wall()
    }

    fn elapsed(&self) -> Duration {
        self.0.go_on(1);
        self.0.elapsed()
    }
}

/// Laws: none. Scenarios: S8.
#[tokio::test]
async fn a_provider_whose_certificate_is_not_good_is_told_nothing() {
    let good = json(r#"{"access_token":"t","expires_in":60}"#);
    let stranger = Provider::start([good.clone()]).await;
    let provider = Provider::start([good.clone()]).await;
    let mut config = config(&provider, &[]);
    config.oauth.ca_pem = Some(stranger.authority.clone());
    let tokens = tokens_with(&config, None, &Still::default()).expect("tokens");
    let error = tokens.get().await.expect_err("not believed").to_string();
    assert!(error.starts_with("the identity provider is not believed: "), "{error}");
    assert!(error.contains("https.ca.pem") && !error.contains("ssl."), "{error}");

    let other = Provider::start_as("other.example", [good]).await;
    let error = tokens_of(&other, &[]).get().await.expect_err("another").to_string();
    assert!(error.contains("other.example"), "{error}");
    for provider in [provider, other] {
        assert_eq!(provider.requests(), [""; 0]);
    }
}

#[tokio::test]
async fn a_port_that_does_not_speak_tls_is_told_to_be_one() {
    let provider = Provider::start([Answer::Silent]).await;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("bound");
    let port = listener.local_addr().expect("an address").port();
    let plain = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            use tokio::io::AsyncWriteExt;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let mut config = config(&provider, &[]);
    config.oauth.token_endpoint_url = Some(format!("https://localhost:{port}/"));
    let tokens = tokens_with(&config, None, &Still::default()).expect("tokens");
    let error = tokens.get().await.expect_err("no TLS").to_string();
    assert!(error.contains("does not speak TLS") && error.contains("endpoint.url"), "{error}");
    assert!(!error.contains("security.protocol"), "{error}");
    plain.abort();
}

#[tokio::test]
async fn special_characters_are_encoded_where_the_provider_wants_it() {
    let good = json(r#"{"access_token":"t","expires_in":60}"#);
    for (urlencode, shown) in [("false", "a:b%:c+d"), ("true", "a%3Ab%25:c%2Bd")] {
        let provider = Provider::start([good.clone()]).await;
        let more = [
            ("sasl.oauthbearer.client.id", "a:b%"),
            ("sasl.oauthbearer.client.secret", "c+d"),
            ("sasl.oauthbearer.header.urlencode", urlencode),
        ];
        tokens_of(&provider, &more).get().await.expect("a token");
        let basic = format!("Basic {}\r\n", STANDARD.encode(shown));
        assert!(provider.requests()[0].contains(&basic), "{urlencode}");
    }
}

#[test]
fn what_is_wrong_with_the_settings_is_told_when_the_client_is_built() {
    let build = |more: &[(&str, &str)]| -> Result<Tokens, ConfigError> {
        let mut builder = ConfigBuilder::default();
        let base = [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "OAUTHBEARER"),
            ("sasl.oauthbearer.token.endpoint.url", "https://localhost/token"),
            ("sasl.oauthbearer.client.id", "id"),
        ];
        for (key, value) in base.iter().chain(more) {
            builder.set(key, value)?;
        }
        Tokens::new(&builder.build_security()?.sasl, None)
    };
    let secret = ("sasl.oauthbearer.client.secret", CANARY);
    let key_file = "sasl.oauthbearer.assertion.private.key.file";
    let key = "sasl.oauthbearer.assertion.private.key.pem";
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----";
    for (settings, told) in [
        (vec![secret, ("https.ca.location", "/nowhere/ca.pem")], "https.ca.location: cannot read"),
        (vec![secret, ("https.ca.pem", "no certificate")], "https.ca.pem: "),
        (vec![(key_file, "/nowhere/key.pem")], &*format!("{key_file}: cannot read /nowhere")),
        (vec![(key_file, "/dev/zero")], &*format!("{key_file}: cannot read /dev/zero: it is no")),
        (vec![(key, CANARY)], &*format!("{key}: ")),
        (vec![(key, encrypted)], "sasl.oauthbearer.assertion.private.key.passphrase: "),
        (
            vec![("sasl.oauthbearer.assertion.file", "/nowhere/a")],
            "sasl.oauthbearer.assertion.file",
        ),
    ] {
        let error = build(&settings).err().expect(told).to_string();
        assert!(error.starts_with(told) && !error.contains(CANARY), "{told} - {error}");
    }
}
