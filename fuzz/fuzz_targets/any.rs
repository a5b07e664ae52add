//! All targets under libFuzzer: `OTTLA_FUZZ_TARGET` names the one to run.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use ottla_fuzz::Target;

fn chosen() -> Target {
    static CHOSEN: OnceLock<Target> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let name = std::env::var("OTTLA_FUZZ_TARGET").unwrap_or_default();
        ottla_fuzz::target(&name).unwrap_or_else(|| {
            let names = ottla_fuzz::TARGETS.map(|target| target.name);
            panic!("OTTLA_FUZZ_TARGET is to be one of {names:?}");
        })
    })
}

fuzz_target!(|data: &[u8]| (chosen().run)(data));
