//! DescribeUserScramCredentials: key 50, version 0.
//!
//! Behaviour: with which mechanisms of SCRAM users can prove themselves, and in how many iterations
//! (KIP-554); those that are named, or all. The users of a cluster have the same for both hashes,
//! unless AlterUserScramCredentials has changed that.
//! Rights: Describe on the cluster.

use std::collections::BTreeMap;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_user_scram_credentials::{
    CredentialInfo, DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
    DescribeUserScramCredentialsResult,
};

use super::{Api, Reply};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::security::scram::ScramHash;
use crate::security::users::Users;
use crate::time::Now;

/// The mechanisms by their numbers in the protocol.
pub(super) const MECHANISMS: [(i8, ScramHash); 2] =
    [(1, ScramHash::Sha256), (2, ScramHash::Sha512)];

impl Api for DescribeUserScramCredentialsRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> DescribeUserScramCredentialsResponse {
        DescribeUserScramCredentialsResponse {
            error_code: code.0,
            error_message: Some(code.message().to_owned()),
            ..DescribeUserScramCredentialsResponse::default()
        }
    }

    fn set_throttle(response: &mut DescribeUserScramCredentialsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(
        self,
        nodes: &mut Nodes,
        call: &Call,
        _now: Now,
    ) -> Reply<DescribeUserScramCredentialsResponse> {
        if !nodes.allows(call, Operation::Describe, On::Cluster) {
            let code = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
            return Reply::Now(self.refuse(call.version, code));
        }
        let users = &nodes.users;
        // How often each is named.
        let mut wanted: BTreeMap<&str, usize> = BTreeMap::new();
        for user in self.users.iter().flatten() {
            *wanted.entry(&user.name).or_default() += 1;
        }
        if wanted.is_empty() {
            let with_some = users.names().filter(|name| !credentials(users, name).is_empty());
            wanted.extend(with_some.map(|name| (name, 1)));
        }
        let results = wanted.into_iter().map(|(name, times)| match credentials(users, name) {
            _ if times > 1 => failed(name, ErrorCode::DUPLICATE_RESOURCE),
            infos if infos.is_empty() => failed(name, ErrorCode::RESOURCE_NOT_FOUND),
            credential_infos => DescribeUserScramCredentialsResult {
                user: name.to_owned(),
                error_code: 0,
                error_message: None,
                credential_infos,
            },
        });
        Reply::Now(DescribeUserScramCredentialsResponse {
            error_message: None,
            results: results.collect(),
            ..DescribeUserScramCredentialsResponse::default()
        })
    }
}

fn credentials(users: &Users, name: &str) -> Vec<CredentialInfo> {
    let Some(credential) = users.by_name(name) else {
        return Vec::new();
    };
    let infos = MECHANISMS.iter().filter_map(|(mechanism, hash)| {
        let iterations = credential.scram_keys(*hash)?.iterations;
        let iterations = i32::try_from(iterations).unwrap_or(i32::MAX);
        Some(CredentialInfo { mechanism: *mechanism, iterations })
    });
    infos.collect()
}

fn failed(name: &str, code: ErrorCode) -> DescribeUserScramCredentialsResult {
    DescribeUserScramCredentialsResult {
        user: name.to_owned(),
        error_code: code.0,
        error_message: Some(code.message().to_owned()),
        credential_infos: Vec::new(),
    }
}
