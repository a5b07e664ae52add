//! Certificates are replaced while records flow: the broker's, our own, those of authorities.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ottla::{ErrorKind, Record};
use ottla_tests::cast::{ROOT, STRANGER};
use ottla_tests::needs;
use ottla_tests::pki::{Authority, Issued, KeyKind, Validity, Wish};
use ottla_tests::proxy::{Proxy, Trouble, Way};
use ottla_tests::secured::{Secured, Settings, Watched, with};
use ottla_tests::wait::until_true;
use tempfile::TempDir;

use super::secured;

/// The listener whose clients come through a proxy. One test at a time has it.
struct Stage {
    _turn: MutexGuard<'static, ()>,
    proxy: &'static Proxy,
    secured: Secured,
    /// Files that a test may write anew.
    folder: TempDir,
}

impl Stage {
    fn enter(secured: Secured) -> Result<Self, String> {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let proxy = secured.proxy("rotated")?;
        // Whatever an earlier test has left.
        proxy.heal();
        secured.show_certificate(Path::new(&secured.file("server-rotated.pem")));
        let stage = Self { _turn: turn, proxy, secured, folder: TempDir::new().expect("a folder") };
        for (from, to) in
            [("ca.pem", "ca.pem"), ("client.crt", "own.crt"), ("client.key", "own.key")]
        {
            stage.write(to, &stage.secured.text(from));
        }
        Ok(stage)
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Replaces a file as is right: a reader sees the old content or the new one.
    fn write(&self, name: &str, content: &str) {
        let new = self.folder.path().join("new");
        std::fs::write(&new, content).expect("written");
        std::fs::rename(&new, self.folder.path().join(name)).expect("replaced");
    }

    /// A client that reads its files where the test replaces them.
    fn settings(&self) -> Settings {
        with(
            self.secured.settings("rotated"),
            &[
                ("ssl.ca.location", &self.path("ca.pem")),
                ("ssl.certificate.location", &self.path("own.crt")),
                ("ssl.key.location", &self.path("own.key")),
            ],
        )
    }

    /// Has the connection end on which something comes next.
    fn cut(&self) {
        let before = self.proxy.happened();
        self.proxy.plan(Way::Back, 0, Trouble::Cut);
        until_true("a cut", || self.proxy.happened() > before);
    }
}

/// Records that are sent without a pause until the value is told to end.
struct Flow<'a> {
    watched: &'a Watched,
    topic: &'a str,
    delivered: AtomicUsize,
    ends: AtomicBool,
}

impl<'a> Flow<'a> {
    fn new(watched: &'a Watched, topic: &'a str) -> Self {
        Self { watched, topic, delivered: AtomicUsize::new(0), ends: AtomicBool::new(false) }
    }

    /// Sends, and gives what was sent. Every record must be delivered.
    fn run(&self) -> Vec<String> {
        let producer = self.watched.producer.blocking();
        let mut sent = Vec::new();
        while !self.ends.load(Ordering::SeqCst) {
            let mut deliveries = Vec::new();
            for _ in 0..10 {
                let value = format!("record {}", sent.len());
                deliveries.push(producer.send(Record::new(self.topic).value(&value)));
                sent.push(value);
            }
            for delivery in deliveries {
                delivery.expect("accepted").wait().expect("delivered");
                self.delivered.fetch_add(1, Ordering::SeqCst);
            }
        }
        sent
    }

    /// Has what connections there are end, and waits until records are delivered by others.
    fn goes_on_by_new_connections(&self, stage: &Stage) {
        // There are two: one to the bootstrap server, and one to the same as a broker.
        for _ in 0..2 {
            stage.cut();
            self.goes_on();
        }
    }

    /// Waits until more records were delivered.
    fn goes_on(&self) {
        let before = self.delivered.load(Ordering::SeqCst);
        until_true("deliveries", || self.delivered.load(Ordering::SeqCst) > before + 30);
    }
}

/// Sends all the while that `change` runs; all that was sent is in the log, once and in order.
fn while_records_flow(stage: &Stage, change: impl FnOnce(&Flow<'_>)) {
    let topic = stage.secured.engine.topic("rotated", 1);
    let watched = Watched::start(&stage.settings());
    let flow = Flow::new(&watched, &topic);
    let sent = std::thread::scope(|scope| {
        let sending = scope.spawn(|| flow.run());
        let changed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            flow.goes_on();
            change(&flow);
            flow.goes_on();
        }));
        flow.ends.store(true, Ordering::SeqCst);
        let sent = sending.join().expect("all were delivered");
        changed.expect("the change is made");
        sent
    });
    assert_eq!(ottla_tests::record::values(&stage.secured.engine.read(&topic), 0), sent);
}

/// A certificate for the listener, in a file with its key.
fn broker_certificate(stage: &Stage, authority: &Authority, name: &str) -> std::path::PathBuf {
    let hosts: &[&str] = &["localhost", "127.0.0.1", "127.0.0.2"];
    let wish = Wish { name: "broker", hosts, validity: Validity::Now, key: KeyKind::Ec };
    let file = stage.folder.path().join(name);
    std::fs::write(&file, authority.issue(&wish).expect("issued").both()).expect("written");
    file
}

fn authority(stage: &Stage, name: &str, key: &str) -> Authority {
    Authority::open(name, &stage.secured.text(key)).expect("an authority")
}

fn client(stage: &Stage, name: &str) -> Issued {
    let wish = Wish { name, hosts: &[], validity: Validity::Now, key: KeyKind::Ec };
    authority(stage, ROOT, "ca.key").issue(&wish).expect("issued")
}

/// Laws: L2, L3. Scenarios: S10.
#[test]
fn the_broker_shows_another_certificate_of_the_same_authority() {
    let stage = needs!(Stage::enter(secured!()));
    let root = authority(&stage, ROOT, "ca.key");
    while_records_flow(&stage, |flow| {
        for round in 0..3 {
            let file = broker_certificate(&stage, &root, &format!("broker-{round}.pem"));
            stage.secured.show_certificate(&file);
            flow.goes_on_by_new_connections(&stage);
        }
    });
}

/// The bundle has both authorities first, as everybody does who replaces one.
/// Laws: L2, L3. Scenarios: S10, S11.
#[test]
fn the_broker_shows_a_certificate_of_an_authority_that_was_added_meanwhile() {
    let stage = needs!(Stage::enter(secured!()));
    let stranger = authority(&stage, STRANGER, "other-ca.key");
    while_records_flow(&stage, |flow| {
        let both = stage.secured.text("ca.pem") + &stage.secured.text("other-ca.pem");
        stage.write("ca.pem", &both);
        stage.secured.show_certificate(&broker_certificate(&stage, &stranger, "broker.pem"));
        flow.goes_on_by_new_connections(&stage);
        assert_eq!(flow.watched.troubles().iter().find(|why| why.contains("vouches")), None);
    });
}

/// Records wait until the file has the right authority; nobody has to start anything anew.
/// Laws: L2, L3, L9. Scenarios: S10, S11.
#[test]
fn an_authority_that_comes_late_is_believed_without_a_restart() {
    let stage = needs!(Stage::enter(secured!()));
    let stranger = authority(&stage, STRANGER, "other-ca.key");
    while_records_flow(&stage, |flow| {
        stage.secured.show_certificate(&broker_certificate(&stage, &stranger, "broker.pem"));
        let is_refused = || flow.watched.troubles().iter().any(|why| why.contains("vouches"));
        while !is_refused() {
            stage.cut();
            let after = flow.delivered.load(Ordering::SeqCst);
            // Another connection may have been cut than the one that records go by.
            let goes_on = || flow.delivered.load(Ordering::SeqCst) > after + 30;
            until_true("a refusal", || is_refused() || goes_on());
        }
        stage.write("ca.pem", &stage.secured.text("other-ca.pem"));
    });
}

/// Who the client is can be seen by what it may do.
/// Laws: L9. Scenarios: S11.
#[test]
fn a_client_certificate_that_was_replaced_is_shown_by_the_next_connection() {
    let stage = needs!(Stage::enter(secured!()));
    let topic = stage.secured.engine.topic("replaced", 1);
    needs!(stage.secured.set_may_write("User:CN=limited", &topic, false));
    let producer = Watched::start(&stage.settings()).producer.blocking();
    let is_delivered = || match producer.send(Record::new(&topic).value("v")) {
        Ok(delivery) => match delivery.wait() {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
                false
            }
        },
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
            false
        }
    };
    assert!(is_delivered());
    for (name, may) in [("limited", false), ("client", true), ("limited", false)] {
        let new = client(&stage, name);
        // First one, then the other: in between they do not belong together, and the old pair is
        // used.
        stage.write("own.crt", &new.chain);
        assert_eq!(is_delivered(), !may);
        stage.write("own.key", &new.key);
        until_true("the new certificate", || {
            if is_delivered() == may {
                return true;
            }
            stage.proxy.plan(Way::Back, 0, Trouble::Cut);
            let is_now = is_delivered() == may;
            stage.proxy.heal();
            is_now
        });
    }
}

/// Laws: L2, L3. Scenarios: S11.
#[test]
fn a_broken_pair_keeps_the_old_one_and_records_flow_on() {
    let stage = needs!(Stage::enter(secured!()));
    while_records_flow(&stage, |flow| {
        let new = client(&stage, "limited");
        for (name, content) in [
            ("own.crt", new.chain.as_str()),
            ("own.key", "-----BEGIN PRIVATE KEY-----\nhalf of"),
            ("own.key", ""),
        ] {
            stage.write(name, content);
            flow.goes_on_by_new_connections(&stage);
        }
    });
}
