//! UpdateFeatures: key 57, versions 0-2.
//!
//! Behaviour: sets the levels that ApiVersions tells (KIP-584), all of the request or none.
//! Version notes: 0 says of each feature only whether it may go down; 1 kinds of upgrade and
//! requests that are only checked (KIP-778), 2 no answer for each feature.
//! Rights: Alter on the cluster.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::update_features::{
    FeatureUpdateKey, UpdatableFeatureResult, UpdateFeaturesRequest, UpdateFeaturesResponse,
};

use super::{Api, Reply};
use crate::features::{FEATURES, Feature};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

/// The first version that says which way a level may go.
const UPGRADE_TYPE_VERSION: i16 = 1;

/// Which way a level may go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

impl Way {
    fn of(update: &FeatureUpdateKey, version: i16) -> Option<Self> {
        match (version, update.upgrade_type) {
            (..UPGRADE_TYPE_VERSION, _) if update.allow_downgrade => Some(Self::Down),
            (..UPGRADE_TYPE_VERSION, _) | (_, 1) => Some(Self::Up),
            // Whether something may be lost by it makes no difference to what there is here.
            (_, 2 | 3) => Some(Self::Down),
            _ => None,
        }
    }
}

impl Api for UpdateFeaturesRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> UpdateFeaturesResponse {
        refused(code, code.message().to_owned())
    }

    fn set_throttle(response: &mut UpdateFeaturesResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, _now: Now) -> Reply<UpdateFeaturesResponse> {
        if !nodes.allows(call, Operation::Alter, On::Cluster) {
            let code = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
            return Reply::Now(self.refuse(call.version, code));
        }
        let checked = self.feature_updates.iter().map(|update| check(update, nodes, call.version));
        let levels = match checked.collect::<Result<Vec<_>, String>>() {
            Ok(levels) => levels,
            Err(why) => return Reply::Now(refused(ErrorCode::INVALID_UPDATE_VERSION, why)),
        };
        if !self.validate_only
            && let Err(error) = nodes.set_feature_levels(&levels)
        {
            tracing::error!(%error, "levels of features not changed");
            return Reply::Now(self.refuse(call.version, ErrorCode::KAFKA_STORAGE_ERROR));
        }
        let result = |update: FeatureUpdateKey| UpdatableFeatureResult {
            feature: update.feature,
            error_message: None,
            ..UpdatableFeatureResult::default()
        };
        Reply::Now(UpdateFeaturesResponse {
            error_message: None,
            results: self.feature_updates.into_iter().map(result).collect(),
            ..UpdateFeaturesResponse::default()
        })
    }
}

/// The feature and its next level.
///
/// # Errors
/// Why it cannot have that.
fn check(
    update: &FeatureUpdateKey,
    nodes: &Nodes,
    version: i16,
) -> Result<(&'static Feature, i16), String> {
    let FeatureUpdateKey { feature: name, max_version_level: level, .. } = update;
    let refuse = |why: String| Err(format!("{name} cannot have level {level}: {why}"));
    let Some(way) = Way::of(update, version) else {
        return refuse(format!("there is no kind of update {}", update.upgrade_type));
    };
    let Some(feature) = FEATURES.iter().find(|feature| feature.name == name) else {
        return refuse("there is no such feature".to_owned());
    };
    if !(0..=feature.max_level).contains(level) {
        return refuse(format!("it has the levels 0 to {}", feature.max_level));
    }
    let present = nodes.feature_level(feature);
    if *level < present && way == Way::Up {
        return refuse(format!("it has level {present}, and a downgrade was not asked for"));
    }
    if *level > present && way == Way::Down {
        return refuse(format!("it has level {present}, and a downgrade was asked for"));
    }
    Ok((feature, *level))
}

fn refused(code: ErrorCode, message: String) -> UpdateFeaturesResponse {
    UpdateFeaturesResponse {
        error_code: code.0,
        error_message: Some(message),
        ..UpdateFeaturesResponse::default()
    }
}
