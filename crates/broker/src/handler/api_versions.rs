//! ApiVersions: key 18, versions 0-4.
//!
//! Behaviour: the versions of the table in `handler`, Produce from 0 on: librdkafka takes a broker
//! for one without record batches otherwise (a Produce below version 3 is still refused). A version
//! that is too new is answered in version 0 with UNSUPPORTED_VERSION and the versions of this API,
//! so that the client can ask again (KIP-511).
//! Features (KIP-584): their levels, those that are off left out, and as of which change of the
//! cluster's metadata. A client below version 4 does not hear that a feature can be off (KIP-1022).
//! Rights: none; before SASL authentication, once.

use ottla_protocol::messages::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use ottla_protocol::{ApiKey, ErrorCode};

use super::{Api, Reply, advertised, finish};
use crate::features::FEATURES;
use crate::nodes::Nodes;
use crate::outgoing::Outgoing;
use crate::peers::{Call, Flow};
use crate::time::Now;

impl Api for ApiVersionsRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> ApiVersionsResponse {
        ApiVersionsResponse { error_code: code.0, ..ApiVersionsResponse::default() }
    }

    fn set_throttle(response: &mut ApiVersionsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, _now: Now) -> Reply<ApiVersionsResponse> {
        let names = [&self.client_software_name, &self.client_software_version];
        if call.version >= 3 && !names.iter().all(|name| is_software_name(name)) {
            return Reply::Now(self.refuse(call.version, ErrorCode::INVALID_REQUEST));
        }
        Reply::Now(ApiVersionsResponse {
            api_keys: advertised(&nodes.config)
                .map(|(key, versions)| row(key, versions.min, versions.max))
                .collect(),
            supported_features: if call.version < 4 { Vec::new() } else { supported_features() },
            finalized_features_epoch: if call.version < 3 { -1 } else { nodes.catalog.revision() },
            finalized_features: match call.version {
                ..3 => Vec::new(),
                _ => finalized_features(nodes),
            },
            ..ApiVersionsResponse::default()
        })
    }
}

fn supported_features() -> Vec<SupportedFeatureKey> {
    let supported = FEATURES.iter().map(|feature| SupportedFeatureKey {
        name: feature.name.to_owned(),
        min_version: 0,
        max_version: feature.max_level,
    });
    supported.collect()
}

fn finalized_features(nodes: &Nodes) -> Vec<FinalizedFeatureKey> {
    let levels = FEATURES.iter().map(|feature| (feature, nodes.feature_level(feature)));
    let finalized =
        levels.filter(|(_, level)| *level > 0).map(|(feature, level)| FinalizedFeatureKey {
            name: feature.name.to_owned(),
            max_version_level: level,
            min_version_level: level,
        });
    finalized.collect()
}

/// Answers a version that this broker does not have.
pub(super) fn answer_unsupported(
    nodes: &mut Nodes,
    call: &Call,
    now: Now,
    out: &mut Outgoing,
) -> Flow {
    let all = advertised(&nodes.config);
    let own = all.filter(|(key, _)| *key == ApiKey::API_VERSIONS);
    let response = ApiVersionsResponse {
        error_code: ErrorCode::UNSUPPORTED_VERSION.0,
        api_keys: own.map(|(key, versions)| row(key, versions.min, versions.max)).collect(),
        ..ApiVersionsResponse::default()
    };
    let call = Call { version: 0, ..call.clone() };
    finish::<ApiVersionsRequest>(nodes, &call, response, now, out)
}

fn row(key: ApiKey, min_version: i16, max_version: i16) -> ApiVersion {
    ApiVersion { api_key: key.0, min_version, max_version }
}

/// Letters and digits, with `-` and `.` inside (KIP-511).
fn is_software_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    is_end(bytes.first()) && is_end(bytes.last()) && bytes.iter().all(|byte| is_inner(*byte))
}
