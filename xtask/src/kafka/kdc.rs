//! A Kerberos server (KDC) of our own, for a realm that nobody else knows.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::cluster::Port;
use crate::install;
use crate::process::{self, Interrupt};
use crate::workspace;

const REALM: &str = "OTTLA.TEST";
/// The broker, as clients look for it under the name `localhost`.
const BROKER: &str = "kafka/localhost";
/// Somebody who may do everything.
const CLIENT: &str = "client";
const READY_WITHIN: Duration = Duration::from_secs(30);
/// What is run of it, and the packages of Debian's that have it.
pub(crate) const PROGRAMS: [(&str, &str); 3] =
    [("krb5kdc", "krb5-kdc"), ("kdb5_util", "krb5-kdc"), ("kadmin.local", "krb5-admin-server")];

/// A server that runs. It ends when this value is dropped.
pub(super) struct Kdc {
    folder: PathBuf,
    child: Child,
}

impl Kdc {
    /// Makes a realm with its principals in `folder` and serves it.
    pub(super) fn start(folder: &Path, interrupt: &Interrupt) -> Result<Self, String> {
        for (program, package) in PROGRAMS {
            install::find_from(program, package)?;
        }
        workspace::create_folder(folder)?;
        let port = Port::reserve()?;
        let address = port.address()?;
        workspace::write(&folder.join("krb5.conf"), realm_for_clients(address))?;
        workspace::write(&folder.join("kdc.conf"), realm_for_server(address, folder))?;
        workspace::write(&folder.join("kadm5.acl"), "")?;
        // The password of the database is of no use to anybody: it lies beside it.
        run(folder, "kdb5_util", &["create", "-s", "-r", REALM, "-P", "the-realm-of-tests"])?;
        for (principal, keytab) in [(BROKER, "broker.keytab"), (CLIENT, "client.keytab")] {
            let keytab = folder.join(keytab).display().to_string();
            let add = format!("addprinc -randkey {principal}");
            let export = format!("ktadd -k {keytab} {principal}");
            run(folder, "kadmin.local", &["-r", REALM, "-q", &add])?;
            run(folder, "kadmin.local", &["-r", REALM, "-q", &export])?;
        }
        drop(port);
        let log = folder.join("kdc.txt");
        let log = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let mut command = command(folder, "krb5kdc");
        command.args(["-n", "-r", REALM, "-P"]).arg(folder.join("pid"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
        let child = command.spawn().map_err(|error| format!("cannot run krb5kdc: {error}"))?;
        let mut kdc = Self { folder: folder.to_owned(), child };
        let ready = process::poll(READY_WITHIN, || {
            interrupt.check()?;
            if let Some(status) = process::ended(&mut kdc.child)? {
                let said = std::fs::read_to_string(folder.join("kdc.txt")).unwrap_or_default();
                return Err(format!("krb5kdc ended with {status}: {said}"));
            }
            Ok(TcpStream::connect_timeout(&address, READY_WITHIN).ok())
        })?;
        ready.map(|_| kdc).ok_or_else(|| "krb5kdc does not listen".to_owned())
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the broker's Java has to be told.
    pub(super) fn java_option(&self) -> String {
        format!("-Djava.security.krb5.conf={}", self.client_config().display())
    }

    /// The file that `KRB5_CONFIG` has to name for clients.
    pub(super) fn client_config(&self) -> PathBuf {
        self.folder.join("krb5.conf")
    }

    /// The settings of a listener, without its prefix.
    pub(super) fn settings(&self) -> Vec<(String, String)> {
        let keytab = self.folder.join("broker.keytab");
        let module = format!(
            "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true \
             keyTab=\"{}\" principal=\"{BROKER}@{REALM}\";",
            keytab.display()
        );
        let rows = [
            ("sasl.enabled.mechanisms", "GSSAPI"),
            ("sasl.kerberos.service.name", "kafka"),
            ("gssapi.sasl.jaas.config", &module),
        ];
        rows.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    /// What a test has to know.
    pub(super) fn json(&self) -> Value {
        json!({
            "config": self.client_config(),
            "principal": format!("{CLIENT}@{REALM}"),
            "keytab": self.folder.join("client.keytab"),
        })
    }
}

impl Drop for Kdc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(folder: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("KRB5_CONFIG", folder.join("krb5.conf")).current_dir(folder);
    command.env("KRB5_KDC_PROFILE", folder.join("kdc.conf"));
    command
}

fn run(folder: &Path, program: &str, args: &[&str]) -> Result<(), String> {
    install::succeed(command(folder, program).args(args))
}

/// Nothing is looked up: names are as they are written, and the realm is at its address.
fn realm_for_clients(address: SocketAddr) -> String {
    format!(
        "[libdefaults]\n  default_realm = {REALM}\n  dns_lookup_realm = false\n  \
         dns_lookup_kdc = false\n  dns_canonicalize_hostname = false\n  rdns = false\n  \
         udp_preference_limit = 1\n[realms]\n  {REALM} = {{\n    kdc = {address}\n  }}\n\
         [domain_realm]\n  localhost = {REALM}\n"
    )
}

fn realm_for_server(address: SocketAddr, folder: &Path) -> String {
    let (folder, port) = (folder.display(), address.port());
    let host = Ipv4Addr::LOCALHOST;
    format!(
        "[kdcdefaults]\n  kdc_listen = {host}:{port}\n  kdc_tcp_listen = {host}:{port}\n\
         [realms]\n  {REALM} = {{\n    database_name = {folder}/principal\n    \
         key_stash_file = {folder}/stash\n    acl_file = {folder}/kadm5.acl\n  }}\n\
         [logging]\n  kdc = FILE:{folder}/kdc.log\n"
    )
}
