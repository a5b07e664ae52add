//! The behaviours, on real Kafka.

use ottla_tests::Engine;

fn engine() -> Result<Engine, String> {
    Engine::kafka()
}

#[path = "../behaviour/mod.rs"]
mod behaviour;
