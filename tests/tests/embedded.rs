//! The behaviours, on the embedded broker.

use ottla_tests::Engine;

fn engine() -> Result<Engine, String> {
    Ok(Engine::embedded())
}

#[path = "../behaviour/mod.rs"]
mod behaviour;

#[path = "../faults/mod.rs"]
mod faults;
