//! AlterUserScramCredentials: key 51, version 0.
//!
//! Behaviour: gives users other passwords for one mechanism of SCRAM, new users too, or takes them
//! away (KIP-554). The password comes salted; what proves users by PLAIN stays as it is. Who is
//! named twice is left as it was. What it says is kept in the cluster's folder, and holds after a
//! restart whatever users the cluster is started with.
//! Rights: Alter on the cluster.

use std::collections::BTreeMap;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::alter_user_scram_credentials::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
    AlterUserScramCredentialsResult, ScramCredentialDeletion, ScramCredentialUpsertion,
};

use super::describe_user_scram_credentials::MECHANISMS;
use super::{Api, Reply};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::security::scram::{ScramHash, ScramKeys};
use crate::security::users::SCRAM_ITERATIONS;
use crate::time::Now;

/// No more are taken, as in Kafka.
const MAX_ITERATIONS: u32 = 16_384;

/// What is to become of a user.
#[derive(Clone, Copy)]
enum Change<'a> {
    Delete(&'a ScramCredentialDeletion),
    Upsert(&'a ScramCredentialUpsertion),
}

impl Api for AlterUserScramCredentialsRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> AlterUserScramCredentialsResponse {
        response(by_user(self).into_keys().map(|name| (name, Err(code))))
    }

    fn set_throttle(response: &mut AlterUserScramCredentialsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(
        self,
        nodes: &mut Nodes,
        call: &Call,
        _now: Now,
    ) -> Reply<AlterUserScramCredentialsResponse> {
        if !nodes.allows(call, Operation::Alter, On::Cluster) {
            let code = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
            return Reply::Now(self.refuse(call.version, code));
        }
        Reply::Now(response(by_user(&self).into_iter().map(|(name, changes)| {
            let outcome = match changes.as_slice() {
                _ if name.is_empty() => Err(ErrorCode::UNACCEPTABLE_CREDENTIAL),
                [only] => only.checked(nodes).and_then(|change| change.apply(nodes)),
                // What is wrong with the first of several counts for all.
                [first, ..] => first.checked(nodes).and(Err(ErrorCode::DUPLICATE_RESOURCE)),
                [] => Ok(()),
            };
            (name, outcome)
        })))
    }
}

/// A change that can be made.
struct Checked<'a> {
    name: &'a str,
    hash: ScramHash,
    /// `None`: the user has none any more.
    keys: Option<ScramKeys>,
}

impl<'a> Change<'a> {
    fn checked(self, nodes: &Nodes) -> Result<Checked<'a>, ErrorCode> {
        match self {
            Self::Delete(deletion) => {
                let (name, hash) = (deletion.name.as_str(), hash_of(deletion.mechanism)?);
                let known = nodes.users.by_name(name).and_then(|user| user.scram_keys(hash));
                known.ok_or(ErrorCode::RESOURCE_NOT_FOUND)?;
                Ok(Checked { name, hash, keys: None })
            }
            Self::Upsert(upsertion) => {
                let (name, hash) = (upsertion.name.as_str(), hash_of(upsertion.mechanism)?);
                let iterations = u32::try_from(upsertion.iterations).unwrap_or_default();
                // As in Kafka, its length is the client's affair.
                let is_salted = !upsertion.salted_password.is_empty();
                if !is_salted || !(SCRAM_ITERATIONS..=MAX_ITERATIONS).contains(&iterations) {
                    return Err(ErrorCode::UNACCEPTABLE_CREDENTIAL);
                }
                let salted = &upsertion.salted_password;
                let keys = hash.keys_of_salted(salted, &upsertion.salt, iterations);
                Ok(Checked { name, hash, keys: Some(keys) })
            }
        }
    }
}

impl Checked<'_> {
    /// Writes down what a tool has said, and does it.
    fn apply(self, nodes: &mut Nodes) -> Result<(), ErrorCode> {
        let Self { name, hash, keys } = self;
        nodes.scram.note(name, hash, keys.as_ref()).map_err(|error| {
            tracing::error!(%error, user = name, "credential not written down");
            ErrorCode::KAFKA_STORAGE_ERROR
        })?;
        if let Some(keys) = keys {
            nodes.users.set_scram(name, hash, keys);
        } else {
            nodes.users.remove_scram(name, hash);
        }
        Ok(())
    }
}

/// What is to become of each user.
fn by_user(request: &AlterUserScramCredentialsRequest) -> BTreeMap<&str, Vec<Change<'_>>> {
    let mut changes: BTreeMap<&str, Vec<Change<'_>>> = BTreeMap::new();
    for deletion in &request.deletions {
        changes.entry(&deletion.name).or_default().push(Change::Delete(deletion));
    }
    for upsertion in &request.upsertions {
        changes.entry(&upsertion.name).or_default().push(Change::Upsert(upsertion));
    }
    changes
}

fn hash_of(mechanism: i8) -> Result<ScramHash, ErrorCode> {
    let found = MECHANISMS.iter().find(|(number, _)| *number == mechanism);
    found.map(|(_, hash)| *hash).ok_or(ErrorCode::UNSUPPORTED_SASL_MECHANISM)
}

fn response<'a>(
    outcomes: impl Iterator<Item = (&'a str, Result<(), ErrorCode>)>,
) -> AlterUserScramCredentialsResponse {
    let results = outcomes.map(|(name, outcome)| AlterUserScramCredentialsResult {
        user: name.to_owned(),
        error_code: outcome.err().map_or(0, |code| code.0),
        error_message: outcome.err().map(|code| code.message().to_owned()),
    });
    AlterUserScramCredentialsResponse {
        results: results.collect(),
        ..AlterUserScramCredentialsResponse::default()
    }
}
