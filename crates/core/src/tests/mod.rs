//! Stories: the core against a scripted cluster, in virtual time.

mod chance;
mod host;
mod pair;
mod sasl;
mod story_answers;
mod story_authentication;
mod story_connections;
mod story_deadlines;
mod story_delivery;
mod story_expiry;
mod story_hostile;
mod story_leaders;
mod story_metadata;
mod story_retries;
mod story_sequences;
mod story_settings;
mod story_splitting;
