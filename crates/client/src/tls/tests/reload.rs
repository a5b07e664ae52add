//! Files that change while they are in use.

use std::time::SystemTime;

use ottla_core::config::TlsConfig;

use super::super::Tls;
use super::super::reload::{Fixed, Seen};
use super::pki::{Authority, DAY, Wanted, client};
use super::server::{BOTH, Server, config};
use super::{file, folder, known_as, logs, says, tls, trusting};

fn first(settings: &TlsConfig) -> (Fixed, Seen) {
    let fixed = Fixed::new(settings).expect("settings");
    let (_, seen) = fixed.first().expect("files");
    (fixed, seen)
}

/// The certificate comes first and the key a moment later, or the other way round, as tools write
/// them: connections in between are made with the old pair.
/// Laws: L9. Scenarios: S11.
#[tokio::test]
async fn a_pair_that_is_replaced_on_disk_is_shown_by_the_next_connection() {
    let authority = Authority::new("authority");
    let broker = authority.issue(&Wanted::default());
    let mut server = Server::start(config(&broker, BOTH, Some(&authority))).await;
    let pairs = ["one", "two", "three"].map(|name| authority.issue(&client(name)));
    let folder = folder();
    let mut settings = trusting(&authority);
    let chain = file(&folder, "chain.pem", pairs[0].pem());
    let key = file(&folder, "key.pem", pairs[0].key_pem());
    settings.certificate_location = Some(chain.clone());
    settings.key_location = Some(key.clone());
    let tls = tls(&settings);
    let mut shows = async |name: &str| {
        for _ in 0..2 {
            let visit = server.visit(&tls, "broker.test").await.expect("connected");
            assert_eq!(visit.subject.as_deref(), Some(name));
        }
    };
    shows("CN=one").await;
    std::fs::write(&chain, pairs[1].pem()).expect("written");
    shows("CN=one").await;
    std::fs::write(&key, pairs[1].key_pem()).expect("written");
    shows("CN=two").await;
    std::fs::write(&key, &pairs[2].key_pem()[..100]).expect("written");
    shows("CN=two").await;
    std::fs::write(&key, pairs[2].key_pem()).expect("written");
    shows("CN=two").await;
    std::fs::write(&chain, pairs[2].pem()).expect("written");
    shows("CN=three").await;
    std::fs::remove_file(&chain).expect("removed");
    shows("CN=three").await;
}

/// A resumed session would show the old certificate for as long as the server keeps it.
/// Laws: none. Scenarios: S11.
#[tokio::test]
async fn a_session_is_resumed_until_our_certificate_changes() {
    let authority = Authority::new("authority");
    let broker = authority.issue(&Wanted::default());
    let mut server = Server::start(config(&broker, BOTH, Some(&authority))).await;
    let folder = folder();
    let whole = |name| {
        let pair = authority.issue(&client(name));
        pair.pem() + &pair.key_pem()
    };
    let mut settings = trusting(&authority);
    let path = file(&folder, "store.pem", whole("one"));
    settings.keystore_location = Some(path.clone());
    let tls = tls(&settings);
    let mut is_resumed =
        async || server.visit(&tls, "broker.test").await.expect("connected").is_resumed;
    assert!(!is_resumed().await);
    assert!(is_resumed().await);
    std::fs::write(&path, whole("two")).expect("written");
    assert!(!is_resumed().await);
    assert!(is_resumed().await);
}

/// Laws: none. Scenarios: S11.
#[test]
fn what_is_broken_is_told_once_and_what_is_taken_up_with_its_date() {
    let authority = Authority::new("authority");
    let folder = folder();
    let pairs = ["one", "two"].map(|name| authority.issue(&client(name)));
    let mut settings = trusting(&authority);
    let chain = file(&folder, "chain.pem", pairs[0].pem());
    let key = file(&folder, "key.pem", pairs[0].key_pem());
    settings.certificate_location = Some(chain.clone());
    settings.key_location = Some(key.clone());
    let (fixed, mut seen) = first(&settings);
    let mut look = || logs::of(|| fixed.again(&mut seen).is_some());
    assert_eq!(look(), (false, Vec::new()));
    // The same bytes at another time are not a change.
    std::fs::write(&chain, pairs[0].pem()).expect("written");
    assert_eq!(look(), (false, Vec::new()));
    std::fs::write(&chain, pairs[1].pem()).expect("written");
    let (is_new, lines) = look();
    assert!(!is_new && lines.len() == 1 && lines[0].starts_with("WARN"), "{lines:?}");
    assert!(lines[0].contains("must come as a pair"), "{lines:?}");
    assert_eq!(look(), (false, Vec::new()));
    // Broken in another way: told again, once.
    std::fs::write(&key, "").expect("written");
    assert!(look().1[0].contains("there is no private key in it"));
    assert_eq!(look(), (false, Vec::new()));
    std::fs::write(&key, pairs[1].key_pem()).expect("written");
    let (is_new, lines) = look();
    assert!(is_new && lines.len() == 1 && lines[0].starts_with("INFO"), "{lines:?}");
    assert!(lines[0].contains("CN=two") && lines[0].contains("UTC"), "{lines:?}");
    assert_eq!(look(), (false, Vec::new()));
}

/// Laws: L9. Scenarios: S10.
#[tokio::test]
async fn a_broker_may_get_another_certificate_and_another_authority() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let folder = folder();
    let path = file(&folder, "ca.pem", old.pem());
    let mut settings = TlsConfig::default();
    settings.truststore_location = Some(path.clone());
    let tls = tls(&settings);
    for _ in 0..2 {
        // Another certificate of the same authority needs nothing.
        let mut server = Server::start(config(&old.issue(&Wanted::default()), BOTH, None)).await;
        server.visit(&tls, "broker.test").await.expect("trusted");
    }
    let mut server = Server::start(config(&new.issue(&Wanted::default()), BOTH, None)).await;
    let error = server.visit(&tls, "broker.test").await.expect_err("not trusted yet");
    says(&error, &["CN=new", &path]);
    std::fs::write(&path, old.pem() + &new.pem()).expect("written");
    server.visit(&tls, "broker.test").await.expect("trusted");
    // And trust that is taken back is gone with the next connection, session or not.
    std::fs::write(&path, old.pem()).expect("written");
    server.visit(&tls, "broker.test").await.expect_err("not trusted any more");
}

#[test]
fn a_certificate_near_its_end_is_told_once() {
    let authority = Authority::new("authority");
    let now = SystemTime::now();
    let year = Wanted { from_days: -300, to_days: 60, ..client("year") };
    let week = Wanted { from_days: -1, to_days: 6, ..client("week") };
    for (wanted, is_fine, is_soon, is_over) in
        [(year, DAY * 40, DAY * 50, DAY * 61), (week, DAY * 4, DAY * 5, DAY * 7)]
    {
        let settings = known_as(&authority, &authority.issue(&wanted));
        for (at, words) in [(is_soon, "runs out soon"), (is_over, "has run out")] {
            let fixed = Fixed::new(&settings).expect("settings");
            let (current, _) = fixed.first().expect("files");
            let warn = |at| logs::of(|| current.warn_of_its_end(at)).1;
            assert_eq!(warn(now + is_fine), Vec::<String>::new());
            let lines = warn(now + at);
            assert!(lines.len() == 1 && lines[0].contains(words), "{lines:?}");
            assert!(lines[0].starts_with("WARN") && lines[0].contains(wanted.name), "{lines:?}");
            assert_eq!(warn(now + at), Vec::<String>::new());
        }
    }
}

/// Nothing is read again where nothing was read.
#[tokio::test]
async fn settings_without_files_stay_as_they_are() {
    let authority = Authority::new("authority");
    let settings = known_as(&authority, &authority.issue(&client("amara")));
    let (fixed, mut seen) = first(&settings);
    assert!(!seen.has_files());
    assert!(fixed.again(&mut seen).is_none());
    let tls: Tls = tls(&settings);
    let broker = authority.issue(&Wanted::default());
    let mut server = Server::start(config(&broker, BOTH, Some(&authority))).await;
    let visit = server.visit(&tls, "broker.test").await.expect("connected");
    assert_eq!(visit.subject.as_deref(), Some("CN=amara"));
}
