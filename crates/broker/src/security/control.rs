//! Security as clusters are described with it, and as it is changed while they run.

use crate::builder::ClusterBuilder;
use crate::cluster::Cluster;
use crate::error::StartError;

use super::acl::Rules;
use super::users::{Credential, Users};
use super::{Acl, Listener, Sasl, Tls};

/// Users and tokens of a cluster that is being described.
#[derive(Default)]
pub(crate) struct Described {
    users: Vec<(String, zeroize::Zeroizing<String>)>,
    tokens: Vec<(String, zeroize::Zeroizing<String>, String)>,
    scram_iterations: Option<u32>,
    denied: Vec<Acl>,
    super_users: Vec<String>,
}

impl std::fmt::Debug for Described {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Described").field("users", &self.users.len()).finish_non_exhaustive()
    }
}

impl Described {
    pub(crate) fn super_users(&self) -> Vec<String> {
        self.super_users.clone()
    }

    pub(crate) fn rules(self) -> Rules {
        let mut rules = Rules::default();
        self.denied.into_iter().for_each(|rule| rules.deny(rule));
        rules
    }

    pub(crate) fn users(&self) -> Result<Users, StartError> {
        let mut users = Users::default();
        if let Some(iterations) = self.scram_iterations {
            users.scram_iterations = iterations;
        }
        for (name, password) in &self.users {
            users.set(name, password).map_err(no_randomness)?;
        }
        for (id, hmac, owner) in &self.tokens {
            users.set_token(id, hmac, owner).map_err(no_randomness)?;
        }
        Ok(users)
    }
}

fn no_randomness(error: getrandom::Error) -> StartError {
    StartError::Config(format!("no randomness: {error}"))
}

/// Security. Without any of this a cluster listens on one address, and everybody may do everything.
impl ClusterBuilder {
    /// Everything on the main listener goes through TLS.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.main.tls = Some(tls);
        self
    }

    /// Clients on the main listener must say who they are.
    pub fn sasl(mut self, sasl: Sasl) -> Self {
        self.main.sasl = Some(sasl);
        self
    }

    /// One more address to listen on, with a security of its own; [`Cluster::servers_of`] tells it.
    pub fn listener(mut self, listener: Listener) -> Self {
        self.others.push(listener);
        self
    }

    /// Somebody who may come in by PLAIN or SCRAM, `User:name` to the rules of access. The password
    /// counts as it is, by its bytes in UTF-8.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.security.users.push((name.into(), password.into().into()));
        self
    }

    /// A delegation token (KIP-48), with which SCRAM makes a client its owner: `id` and `hmac` are
    /// what clients have in place of name and password.
    pub fn delegation_token(
        mut self,
        id: impl Into<String>,
        hmac: impl Into<String>,
        owner: impl Into<String>,
    ) -> Self {
        self.security.tokens.push((id.into(), hmac.into().into(), owner.into()));
        self
    }

    /// A rule from the start, see [`Cluster::deny`].
    pub fn deny(mut self, rule: Acl) -> Self {
        self.security.denied.push(rule);
        self
    }

    /// Somebody, such as `User:admin`, who may do everything, whatever the ACLs say that tools
    /// make. Rules of [`Cluster::deny`] hold for everybody.
    pub fn super_user(mut self, principal: impl Into<String>) -> Self {
        self.security.super_users.push(principal.into());
        self
    }

    /// How many iterations clients of SCRAM are told. Default 4096, the least that Kafka has.
    ///
    /// Kafka's limits do not hold here, so that clients can be shown what they should refuse. Above
    /// 100,000 the number is told and not computed: no password is right then.
    pub fn scram_iterations(mut self, iterations: u32) -> Self {
        self.security.scram_iterations = Some(iterations);
        self
    }
}

/// Security while the cluster runs.
impl Cluster {
    /// What a client on this machine puts into `bootstrap.servers` to come in by the listener of
    /// this name, `None` when there is none. A listener that was given no name has that of its
    /// protocol, such as `PLAINTEXT`.
    pub fn servers_of(&self, listener: &str) -> Option<String> {
        self.listeners.iter().find(|running| running.name == listener).map(|found| found.servers())
    }

    /// Shows another certificate to those who connect from now on, on every listener with TLS: PEM,
    /// as in [`Tls::new`]. Connections that are there stay.
    ///
    /// # Errors
    /// When certificate and key are of no use. The old ones stay then.
    pub fn set_certificate(
        &self,
        certificate_pem: impl AsRef<[u8]>,
        key_pem: impl AsRef<[u8]>,
    ) -> Result<(), StartError> {
        let (certificate, key) = (certificate_pem.as_ref(), key_pem.as_ref());
        let mut all = self.listeners.iter().filter_map(|listener| listener.tls.as_ref());
        all.try_for_each(|tls| tls.set_certificate(certificate, key))
    }

    /// Believes certificates of other authorities, in PEM, from those who connect from now on, on
    /// every listener with TLS.
    ///
    /// # Errors
    /// When they are of no use. The old ones stay then.
    pub fn set_client_ca(&self, pem: impl AsRef<[u8]>) -> Result<(), StartError> {
        let mut all = self.listeners.iter().filter_map(|listener| listener.tls.as_ref());
        all.try_for_each(|tls| tls.set_client_ca(pem.as_ref()))
    }

    /// Adds a user, or gives it another password. Connections that are there stay.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn set_user(&self, name: &str, password: &str) -> Result<(), StartError> {
        let door = &self.running.door;
        let iterations = door.with_nodes(|nodes, _| nodes.users.scram_iterations);
        // Nobody should wait for this.
        let made = Credential::new(name, password, iterations).map_err(no_randomness)?;
        door.with_nodes(|nodes, _| nodes.users.insert(made));
        Ok(())
    }

    /// Denies something from the next request on. What is not denied is allowed: a cluster without
    /// rules, and without ACLs that tools have made, lets everybody do everything.
    pub fn deny(&self, rule: Acl) {
        self.running.door.with_nodes(|nodes, _| nodes.rules.deny(rule));
    }

    /// Takes a rule back, and says whether there was one like it.
    pub fn allow(&self, rule: &Acl) -> bool {
        self.running.door.with_nodes(|nodes, _| nodes.rules.allow(rule))
    }

    /// Takes all rules back.
    pub fn allow_everything(&self) {
        self.running.door.with_nodes(|nodes, _| nodes.rules.clear());
    }

    /// Removes a user, and says whether there was one. Connections that are there stay.
    pub fn remove_user(&self, name: &str) -> bool {
        self.running.door.with_nodes(|nodes, _| nodes.users.remove(name))
    }
}
